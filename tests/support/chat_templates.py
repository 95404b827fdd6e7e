"""Chat templates that do more than frame a turn, in the manner of public models' templates.

They are for tokenizers with the tokens ``<|user|>``, ``<|assistant|>``, ``<|system|>`` and ``<|end|>``.
"""

from __future__ import annotations

_USER = "{% for m in messages %}{% if m.role != 'assistant' %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% else %}"
_READY = "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
_SPLIT = (
    "{% set c = m.content %}{% set t = m.reasoning_content or '' %}{% if '</think>' in c %}"
    "{% set t = c.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
)

#: The last turn gets a think block, empty where the words have none; earlier turns lose theirs (Qwen 3).
THINKS = (
    _USER
    + _SPLIT
    + "<|assistant|>\n{% if loop.last %}<think>\n{{ t }}\n</think>\n\n{% endif %}{{ c }}<|end|>\n"
    + _READY
)
#: All turns lose what was thought, and the assistant is made to begin with it (DeepSeek R1).
FORGETS = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>"
    "{{ m.content.split('</think>')[-1] }}<|end|>{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
#: A system prompt of its own, contents without the blanks around them, nothing at the end of the assistant's turn.
TRIMS = (
    "{% if messages[0].role != 'system' %}<|system|>You are helpful.<|end|>{% endif %}{% for m in messages %}"
    "<|{{ m.role }}|>{{ m.content | trim }}{% if m.role != 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
#: The first words of a system prompt are a switch, which changes the assistant's turn (SmolLM 3).
SWITCHES = (
    "{% set off = messages[0].role == 'system' and '/no_think' in messages[0].content %}{% for m in messages %}"
    "<|{{ m.role }}|>{% if off and m.role == 'assistant' %}<think>\n\n</think>\n{% endif %}"
    "{{ m.content.replace('/no_think', '') }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if off %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
#: Words that it does not take, in two ways.
REFUSES = (
    "{% for m in messages %}{% if 'bad' in m.content %}{{ raise_exception('no bad words') }}{% endif %}"
    "{% if 'worse' in m.content %}{{ 1 + m.content }}{% endif %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
#: Today's date (Llama 3.2).
DATED = (
    "<|system|>Today is {{ strftime_now('%d %b %Y') }}.<|end|>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

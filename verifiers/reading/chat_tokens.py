r"""What a model said in its own turn, without the control tokens of chat formats that were left in the text.

A text is cut at control tokens into messages. A message has a role, and in some formats a channel::

    <|start|>assistant<|channel|>final<|message|>The answer is 42.<|return|>
    <|im_start|>assistant\nThe answer is 42.<|im_end|>

The turn ends at a token that ends turns, or where another role speaks.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.spelling import words

# <|im_end|>, <｜end▁of▁sentence｜>, <end_of_turn>, </s>, [/INST]
_CONTROL = re.compile(
    r"<[|｜](?P<wide>[A-Za-z_▁]{1,30})[|｜]>|</?(?P<angle>s|bos|eos|pad|start_of_turn|end_of_turn|end_of_utterance|turn)>"
    r"|\[/?(?P<square>INST|EOS|BOS|SYS)\]"
)
# Tokens after which a role or a channel is named, up to the next token or the end of the line.
_HEADERS = frozenset({"start", "im_start", "start_header_id", "start_of_turn", "start_of_role", "channel", "turn"})
_ENDS = words(
    "end im_end eot eot_id eom_id endoftext end_of_text end_of_sentence end_of_turn end_of_utterance return call "
    "endofprompt END_OF_TURN_TOKEN eos EOS pad"
)
_OWN_ROLES = frozenset({"", "assistant", "model", "ai", "bot", "gpt", "chatbot", "solution", "answer"})
_OTHER_ROLES = frozenset({"user", "human", "system", "tool", "developer", "prompter", "observation", "ipython"})
#: Marks of thoughts and answers look like control tokens; ``thinking`` and ``answer_tags`` read them.
_MARKS = re.compile(r"think|thought|reason|solution|answer|box|response", re.IGNORECASE)
# Harmony's text after its tokens were dropped: "analysis We compute … assistantfinal The answer is 15."
_BARE_FINAL = re.compile(r"assistant\s?final(?=[\s:*$\\\W\d]|[A-Z])")
_BARE_CHANNEL = re.compile(r"^\s*(?:assistant\s?)?(?:analysis|commentary)(?=[\sA-Z])")
# The name of the speaker in plain text, as base models write it.
_OWN_NAME = re.compile(r"^\s*(?:\*\*)?(?:assistant|AI|bot)(?:\*\*)?\s*:\s*(?:\*\*)?", re.IGNORECASE)
_OTHER_NAME = re.compile(r"\n\s*(?:#{1,4}\s*|\*\*)?(?:user|human|question|problem|instruction|Q):", re.IGNORECASE)
_OTHER_NAMES = ("question:", "user:", "human:", "problem:", "instruction:", "\nq:")


def own_turn(text: str) -> tuple[str, str]:
    r"""(what the model says to its reader, what it says to itself) of the first turn that is the model's own.

    >>> own_turn("<|channel|>analysis<|message|>6*7<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>")
    ('42', '6*7')
    >>> own_turn("<|im_start|>assistant\n42<|im_end|>\n<|im_start|>user\nAnd 6*8?<|im_end|>")
    ('42', '')
    >>> own_turn("analysis We try 12. assistantfinal The answer is 15.")
    ('The answer is 15.', 'We try 12.')
    """
    if "assistant" in text and (cuts := list(_BARE_FINAL.finditer(text))):
        thought = _BARE_CHANNEL.sub("", text[: cuts[-1].start()])
        return text[cuts[-1].end() :].strip(), thought.strip()
    said, thought = _messages(text)
    if ":" in said and (own := _OWN_NAME.match(said)) is not None:
        said = said[own.end() :]
    return said, thought


def before_other_speaker(text: str) -> str | None:
    """The part before another question or another speaker's name in plain text; None where there is none."""
    if not any(map(text.lower().__contains__, _OTHER_NAMES)):
        return None
    other = _OTHER_NAME.search(text)
    return text[: other.start()] if other is not None and text[: other.start()].strip() else None


def _messages(text: str) -> tuple[str, str]:
    marks = [m for m in _CONTROL.finditer(text) if _MARKS.search(m["wide"] or "") is None]
    if not marks:
        return text, ""
    said: list[str] = []
    thought: list[str] = []
    role, channel, ended, position, opener = "", "", False, 0, ""
    for mark in [*marks, None]:
        content = text[position : mark.start() if mark else len(text)]
        if opener in _HEADERS:
            name, _, content = _header(content)
            if opener == "channel":
                channel = name
            else:
                role, channel, ended = name, "", False
            if role in _OTHER_ROLES and (said or thought):
                break
        if content.strip() and role in _OWN_ROLES:
            if ended:
                break
            (thought if channel in ("analysis", "commentary", "thought") else said).append(content.strip("\n"))
        if mark is None:
            break
        opener = (mark["wide"] or mark["angle"] or mark["square"]).replace("▁", "_")
        if mark[0] == "</s>" or (opener in _ENDS and mark["angle"] != "s"):
            ended = bool(said or thought)
        elif opener.lower() in _OWN_ROLES | _OTHER_ROLES:  # <|assistant|>
            role, channel, ended = opener.lower(), "", False
            if role in _OTHER_ROLES and (said or thought):
                break
        elif mark[0] in ("[INST]", "[SYS]"):
            if said or thought:
                break
            role = "user"
        elif mark[0] in ("[/INST]", "[/SYS]"):
            role = "assistant"
        position = mark.end()
    return "\n".join(said), "\n".join(thought)


def _header(content: str) -> tuple[str, str, str]:
    """(name, separator, rest) of what follows a token that opens a header."""
    match = re.match(r"\s*([A-Za-z]+)[^\S\n]*(\n|$|(?=\s))", content)
    if match is None:
        return "", "", content
    return match[1].lower(), match[2], content[match.end() :]

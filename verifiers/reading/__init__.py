"""What an answer says: the way from a response to expressions. Each step has one verb and one module.

1. ``extraction.extract`` takes the answer's text out of a response: a box, ``#### 42``, "the answer is …", or the last
   statement (``statements.stated_value``).
2. ``interpret.unwrap`` takes off what still stands around it: dollars, a box, a statement.
3. ``tokens.clean`` and ``tokens.tokenize`` make tokens that no longer show how something is spelled (``spelling`` has
   the tables).
4. ``structure.parse`` makes a tree of the types in ``answers``: tuples, intervals, sets, lists, equations, text.
   ``matrices`` does so for matrices; ``brackets`` and ``wording`` cut lists of tokens.
5. ``expressions.parse`` makes its leaves: trees of the types in ``syntax``.

Steps 2 to 5 together are ``interpret.interpret``. Nothing here asks whether two answers are equal.
"""

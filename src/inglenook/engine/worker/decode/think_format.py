"""The format of the loaded model's thinking. Kind: hands."""

from __future__ import annotations

from inglenook.engine.thinking.channels import ChannelParser
from inglenook.engine.thinking.find import find_form
from inglenook.engine.thinking.forms import Form, Tags
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.thinking.signs import Signs
from inglenook.engine.thinking.tags import TagParser
from inglenook.engine.worker.llama import Model

_OPENING, _CLOSING = frozenset("<["), frozenset(">]")

#: Length of the prompt's end that is searched; a header and a tag are shorter.
_END_CHARACTERS = 400


class ThinkFormat:
    """The format of a model's thinking, in its own tokens.

    Attributes:
        form: The format of its model family.
        signs: The tags that are single tokens.
        known: The template or the vocabulary contains one of the tags; else the form is a default
            that any model may have been trained on.
    """

    def __init__(self, model: Model, template: str) -> None:
        """Find the format by the file's metadata, its template and its vocabulary."""
        special = model.tokenizer.special_tokens
        self._model = model
        tokens = {token.text for token in special}
        self.form = find_form(model.architecture, template, tokens)
        around = _around(self.form)
        self.known = any(tag in template or tag in tokens for tag in around)
        self.signs = Signs(self.form.texts, special)
        self._written = self.form.mapped(self.signs.encode)
        #: Tags that a template may search for in earlier answers, to remove thinking.
        #: Without beginnings of headers, whose last letter would count as a bracket.
        self.tags = [tag for tag in around if tag[0] in _OPENING and tag[-1] in _CLOSING]

    def parser(self, prompt: str) -> Parser:
        """Make a parser for the answer to a prompt; only the template's own words are parsed."""
        end = self.signs.encode(prompt[-_END_CHARACTERS:])
        if isinstance(self._written, Tags):
            return TagParser(self._written, self.signs, end)
        return ChannelParser(self._written, self.signs, end)

    def spell(self, token: int) -> str:
        """Text of a token for a parser; incomplete characters become U+FFFD."""
        sign = self.signs.by_token.get(token)
        return sign or self._model.piece(token).decode(errors="replace")

    def first_token(self, text: str) -> int | None:
        """First token of ``text``, which is that of `Parser.closing`.

        Returns:
            None if no token is exactly the beginning of that text.
        """
        sign = text[:1]
        if sign in self.signs.tokens:
            return self.signs.tokens[sign]
        words = ""
        for character in text:
            if character in self.signs.tokens:
                break
            words += character
        tokens = self._model.tokenize(words, continued=True)
        piece = self._model.piece(tokens[0]) if tokens else b""
        return tokens[0] if piece and words.encode().startswith(piece) else None


def _around(form: Form) -> tuple[str, ...]:
    return (*form.opens, *form.closes) if isinstance(form, Tags) else form.texts

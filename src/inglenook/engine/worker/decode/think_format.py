"""How the loaded model writes down what it thinks. Kind: hands."""

from __future__ import annotations

from inglenook.engine.thinking.channels import ChannelParser
from inglenook.engine.thinking.find import find_form
from inglenook.engine.thinking.forms import Form, Tags
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.thinking.signs import Signs
from inglenook.engine.thinking.tags import TagParser
from inglenook.engine.worker.llama import Model

_OPENING, _CLOSING = frozenset("<["), frozenset(">]")

#: So much of a prompt's end is looked at; a header and a tag are shorter.
_END_CHARACTERS = 400


class ThinkFormat:
    """The form of a model's thoughts, in its own tokens.

    Attributes:
        form: As its family has it.
        signs: Which of its tags are tokens.
        known: The template or the vocabulary has one of its tags; else it is what any model may
            have been taught.
    """

    def __init__(self, model: Model, template: str) -> None:
        """Find it, by the file's metadata, its template and its vocabulary."""
        special = model.tokenizer.special_tokens
        self._model = model
        tokens = {token.text for token in special}
        self.form = find_form(model.architecture, template, tokens)
        around = _around(self.form)
        self.known = any(tag in template or tag in tokens for tag in around)
        self.signs = Signs(self.form.texts, special)
        self._written = self.form.mapped(self.signs.encode)
        #: Those that a template may look for in earlier answers, to take the thoughts out.
        #: Not beginnings of headers: their last letter would count as a bracket.
        self.tags = [tag for tag in around if tag[0] in _OPENING and tag[-1] in _CLOSING]

    def parser(self, prompt: str) -> Parser:
        """Make a parser for the answer to a prompt, of which only the template's words may act."""
        end = self.signs.encode(prompt[-_END_CHARACTERS:])
        if isinstance(self._written, Tags):
            return TagParser(self._written, self.signs, end)
        return ChannelParser(self._written, self.signs, end)

    def spell(self, token: int) -> str:
        """What a parser is told of a token; half a character is not known to be one."""
        sign = self.signs.by_token.get(token)
        return sign or self._model.piece(token).decode(errors="replace")

    def first_token(self, text: str) -> int | None:
        """The token with which a model begins to write what `Parser.closing` wants.

        Returns:
            None if there is none that says just that.
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

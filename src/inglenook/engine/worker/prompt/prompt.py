"""Turns a conversation into prompt tokens by the model's chat template. Kind: hands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from inglenook.common.errors import EngineError
from inglenook.engine.events import Adjustment
from inglenook.engine.orders import ChatMessage, Prefill, StartJob
from inglenook.engine.thinking.parser import Parser
from inglenook.engine.thinking.switch import template_variables
from inglenook.engine.worker.kv.common_prefix import common_tokens
from inglenook.engine.worker.llama import Model
from inglenook.engine.worker.prompt.jinja import PLAIN, TemplateOptions, TemplateRefused
from inglenook.engine.worker.prompt.piece_cache import PieceCache
from inglenook.engine.worker.prompt.pieces import PromptPiece, is_one_piece, pieces
from inglenook.engine.worker.prompt.state_positions import NO_MARKS, StatePositions
from inglenook.engine.worker.prompt.template import ChatTemplate, Rendered

#: No vocabulary has longer tokens than this, except runs of one character. For prompts that are
#: shorter by this measure the vocabulary is not searched for its longest token.
_WORTH_COUNTING_BYTES: Final = 16


class PromptTooLong(EngineError):
    """The prompt has at least ``tokens`` tokens, which is too many; the rest was not tokenised."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self.tokens = tokens


class Prompt(NamedTuple):
    """A conversation in tokens.

    Attributes:
        tokens: The prompt; of a question that is being typed, its stable prefix.
        total: Number of tokens of the whole prompt.
        parser: Parser of the answer; None for a question that is being typed.
        adjustments: Changes to the conversation, so that nothing of it is lost.
        marks: Positions in it at which states are to be saved.
    """

    tokens: list[int]
    total: int
    parser: Parser | None
    adjustments: tuple[Adjustment, ...] = ()
    marks: StatePositions = NO_MARKS


class PromptMaker:
    """Renders and tokenises conversations for one model; several threads may use it at once.

    Attributes:
        tokens_max: Bound of a prompt's tokens; None until it is known.
        template: The model's chat template.
    """

    def __init__(self, model: Model, template: str) -> None:
        """Compile the template, and try it.

        Raises:
            TemplateRefused: If it is not valid Jinja, or accepts no question.
        """
        self.tokens_max: int | None = None
        self._model = model
        self.template = ChatTemplate(model, template)
        self._known = PieceCache()

    def beginning(
        self, messages: Iterable[ChatMessage], options: TemplateOptions = PLAIN
    ) -> Prompt:
        """Make the prompt of a question that is being typed, up to where it is stable.

        Returns:
            A prompt of the tokens that are likely to stay: those that do not change when another
            letter is typed.

        Raises:
            TemplateRefused: As `prompt`.
            PromptTooLong: As `prompt`.
        """
        *earlier, last = messages
        if last.role != "user":
            # A conversation that was only opened: a question follows.
            earlier, last = [*earlier, last], ChatMessage("user", "")
        known = self._known
        typed = self.template.render_typed([*earlier, last], options)
        now, later = (self._tokens(rendered, known) for rendered in typed)
        return Prompt(now[: common_tokens(now, later)], len(now), parser=None)

    def prompt(self, messages: Iterable[ChatMessage], options: TemplateOptions = PLAIN) -> Prompt:
        """Turn a conversation into prompt tokens.

        Raises:
            TemplateRefused: If the template accepts it in no arrangement, or makes no prompt.
            PromptTooLong: As soon as it has more than `tokens_max` tokens.
        """
        known = self._known
        rendered = self.template.render(list(messages), options)
        tokens = self._tokens(rendered, known)
        return Prompt(tokens, len(tokens), rendered.parser, rendered.adjustments)

    def tokens(self, messages: Iterable[ChatMessage]) -> tuple[list[int], bool]:
        """The tokens of a `prompt`, and whether it ends inside a thought."""
        prompt = self.prompt(messages)
        return prompt.tokens, prompt.parser is not None and prompt.parser.thinking

    def options(self, request: StartJob | Prefill) -> TemplateOptions:
        """The template's input for a request, besides its messages."""
        return TemplateOptions(
            template_variables(self.template.source, request.thinking), request.moment_s
        )

    def forget(self) -> None:
        """Empty the cache of pieces, also of a prompt that another thread is making now."""
        self._known = PieceCache()

    def _tokens(self, rendered: Rendered, known: PieceCache) -> list[int]:
        text = rendered.text
        self._check_length(text)
        if not rendered.cuts and is_one_piece(text):
            tokens = self._model.tokenize(text)
        else:
            tokens = self._join(rendered, known)
        if not tokens:
            raise TemplateRefused("it made an empty prompt")
        return tokens

    def _join(self, rendered: Rendered, known: PieceCache) -> list[int]:
        model = self._model
        # Calls of the library are costly, and a marker that repeats, repeats often.
        here: dict[PromptPiece, Sequence[int]] = {}
        tokens: list[int] = []
        for piece in pieces(rendered.text, rendered.cuts, rendered.turns):
            found = here.get(piece) or known.get(piece)
            if found is None:
                found = model.tokenize(piece.text, continued=piece.continued)
                known.add(piece, found)
            here[piece] = found
            tokens += found
            if self.tokens_max is not None and len(tokens) > self.tokens_max:
                raise PromptTooLong(len(tokens))
        return tokens

    def _check_length(self, text: str) -> None:
        """Refuse a prompt by its bytes that cannot fit, before it is tokenised."""
        if self.tokens_max is None or len(text) <= self.tokens_max * _WORTH_COUNTING_BYTES:
            return
        least = -(-len(text.encode(errors="replace")) // self._model.tokenizer.longest_bytes)
        if least > self.tokens_max:
            raise PromptTooLong(least)

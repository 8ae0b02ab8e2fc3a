"""Messages as token ids, by a Hugging Face tokenizer and its chat template.

What a turn sampled is never tokenised: a conversation goes on with the ids that the template puts behind a turn, which
are those behind the turn of a dummy conversation.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from workroom.errors import BadRequest, ConfigError
from workroom.models.base import Message, ToolCall, ToolSpec
from workroom.models.messages import arguments_object, encodable
from workroom.models.openai_wire import wire_tools
from workroom.models.text_calls import find_json

if TYPE_CHECKING:
    from workroom.models.base import Role

ToolProtocol = Literal["native", "json", "bash"]
_SAID = "workroom-said"  # what dummy messages hold; no template writes it by itself
_TOOL = ToolSpec("workroom_tool", "Does nothing.", {"type": "object", "properties": {"text": {"type": "string"}}})


class Tokenizer(Protocol):
    """What is used of a tokenizer of `transformers`."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...

    def decode(self, token_ids: Any, **options: Any) -> Any: ...


class ChatTemplate:
    """`tokenizer` with its own template, or with `template` (Jinja) in its place. `name`: of the model, for errors.

    `end` is the token that ends a turn, `stops` that and the tokenizer's end of text: what a sampler has to stop at.

    Raises ConfigError where there is no template, or one that training cannot use: it refuses or drops system
    messages, changes what was rendered before when the conversation goes on, or has no token that ends a turn; for
    `protocol` native also where it ignores tools, or writes calls in a form that is not read back.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, template: str | None = None, protocol: ToolProtocol = "bash", name: str = "model"
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._name = name
        if template is None and not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                f"{name} has no chat template: it is no chat model, or name a Jinja file in model.chat_template"
            )
        self._check_messages()
        self.end = self._find_end()
        self._check_prefix((_user(), _assistant()), (_user(),))
        if protocol == "native":
            self._check_tools()
        eos = getattr(tokenizer, "eos_token_id", None)
        self.stops = frozenset({self.end} | ({eos} if isinstance(eos, int) else set()))

    def begin(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """The whole conversation, up to where the model is to speak."""
        return self._ids(messages, tools, prompt=True)

    def go_on(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), *, ended: bool = True
    ) -> tuple[int, ...]:
        """What comes between a sampled turn and the next one, given the `messages` between them.

        `ended`: the turn's last token is `end`, which is then not repeated; else it comes first.
        """
        dummy = [_user(), _assistant(sum(message.role == "tool" for message in messages))]
        before = self._ids(dummy, tools)
        after = self._ids([*dummy, *messages], tools, prompt=True)
        said = len(before) - before[::-1].index(self.end)  # the first position behind the turn's end
        if after[:said] != before[:said]:
            raise BadRequest(
                f"the chat template of {self._name} changes earlier messages with these: {messages!r:.200}"
            )
        return after[said if ended else said - 1 :]

    def text(self, ids: Sequence[int]) -> str:
        """What a turn says, without the tokens that end it. For reading and acting only, never to be encoded again."""
        end = len(ids)
        while end and ids[end - 1] in self.stops:
            end -= 1
        decoded = self._tokenizer.decode(list(ids[:end]), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return encodable(str(decoded))

    def _ids(self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, prompt: bool = False) -> tuple[int, ...]:
        return tuple(int(value) for value in self._apply(messages, tools, prompt=prompt, tokenize=True))

    def _apply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, prompt: bool, tokenize: bool) -> Any:
        options: dict[str, Any] = {"chat_template": self._template} if self._template is not None else {}
        try:
            return self._tokenizer.apply_chat_template(
                [_wire(message) for message in _joined(messages)],
                tools=wire_tools(tools) or None,
                add_generation_prompt=prompt,
                tokenize=tokenize,
                return_dict=False,
                **options,
            )
        except Exception as error:  # noqa: BLE001 a template may raise anything
            raise BadRequest(f"the chat template of {self._name} fails on the messages ({error})") from None

    def _rendered(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), *, prompt: bool = False) -> str:
        return str(self._apply(messages, tools, prompt=prompt, tokenize=False))

    def _refuse(self, what: str) -> ConfigError:
        return ConfigError(f"the chat template of {self._name} {what}; name another one in model.chat_template")

    def _check_messages(self) -> None:
        """Every kind of message must be there in the rendering, as it was said."""
        try:
            self._rendered([_user(), _assistant(), _user()], prompt=True)
        except BadRequest as error:
            raise ConfigError(f"{error}: it cannot be used to train in several turns") from None
        roles: tuple[Role, ...] = ("system", "user", "assistant", "user")
        messages = [Message(role, f"{_SAID}-{place}") for place, role in enumerate(roles)]
        try:
            rendered = self._rendered(messages, prompt=True)
        except BadRequest:  # without the system message it was rendered
            raise self._refuse("takes no system message") from None
        for message in messages:
            if message.content not in rendered:
                raise self._refuse(f"leaves {message.role} messages out")

    def _find_end(self) -> int:
        """The first token behind what an assistant says, which must be one of its own and end the turn."""
        one = self._ids([_user(), Message("assistant", "a")], ())
        two = self._ids([_user(), Message("assistant", "b")], ())
        same = 0
        while same < min(len(one), len(two)) and one[-1 - same] == two[-1 - same]:
            same += 1
        special = _special(self._tokenizer)
        if not same or (special and one[-same] not in special):
            raise self._refuse("has no token that ends a turn")
        return one[-same]

    def _check_prefix(
        self, messages: Sequence[Message], more: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> None:
        """What is rendered must stay as it is when the conversation goes on, with all that was said in it."""
        thought = Message("assistant", f"<think>\nhm\n</think>\n\n{_SAID}")
        for said in (messages[-1], replace(thought, tool_calls=messages[-1].tool_calls)):
            asked = self._rendered(messages[:-1], tools, prompt=True)
            answered = self._rendered([*messages[:-1], said], tools)
            gone_on = self._rendered([*messages[:-1], said, *more], tools, prompt=True)
            if not (answered.startswith(asked) and gone_on.startswith(answered) and said.content in gone_on):
                raise self._refuse(
                    "changes earlier turns, or drops what was thought in them, as the conversation goes on"
                )

    def _check_tools(self) -> None:
        if _TOOL.name not in self._rendered([_user()], [_TOOL], prompt=True):
            raise self._refuse("ignores tools, which tool_protocol native needs (or use tool_protocol bash or json)")
        result = Message("tool", f"{_SAID}-result", tool_call_id=_call(0).id)
        rendered = self._rendered([_user(), _assistant(1), result], [_TOOL])
        written = rendered.partition(_SAID)[2].partition(result.content)
        if not written[1] or not any(call.name == _TOOL.name for call in find_json(written[0], [_TOOL])):
            raise self._refuse("writes tool calls or their results in a form that is not read back as JSON")
        self._check_prefix((_user(), _assistant(1)), (result,), [_TOOL])


def _user() -> Message:
    return Message("user", _SAID)


def _assistant(calls: int = 0) -> Message:
    return Message("assistant", _SAID, tool_calls=tuple(_call(number) for number in range(calls)))


def _call(number: int) -> ToolCall:
    return ToolCall(f"call{number:05}", _TOOL.name, '{"text": "x"}')  # nine characters: some templates want just that


def _special(tokenizer: Tokenizer) -> set[int]:
    """The tokens that no text gives by merging; empty where the tokenizer does not tell."""
    added: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    return {*getattr(tokenizer, "all_special_ids", ()), *added.values()}


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The messages with neighbouring ones of the user joined, as servers get them: many templates refuse two."""
    joined: list[Message] = []
    for message in messages:
        if message.role == "user" and joined and joined[-1].role == "user":
            joined[-1] = replace(joined[-1], content=f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return joined


def _wire(message: Message) -> dict[str, Any]:
    """The message as templates take it: as of Chat Completions, but with a call's arguments as an object."""
    wire: dict[str, Any] = {"role": message.role, "content": encodable(message.content)}
    if message.role == "tool":
        wire["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        wire["reasoning_content"] = encodable(message.reasoning)
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments_object(call)}}
            for call in message.tool_calls
        ]
    return wire

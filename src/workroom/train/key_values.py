"""Keys and values of the rows that are being sampled, and of conversations that may go on."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ATTENTION = "workroom_slots"
_ROOM = 256  # tokens by which a buffer grows at least


class Slots:
    """The cache that is handed to a transformers model: a buffer of slots, one for each row of the batch.

    Rows lie at the left and are as long as they are, so nothing is copied when one comes, goes or grows, and there is
    no padding but at the right end, which masks hide. For each layer two buffers of shape
    (slots, key-value heads, room, width of a head), of `dtype`, or None for that of the model.
    """

    is_compileable = False
    is_sliding = (False,)

    def __init__(self, rows: int, dtype: Any = None) -> None:
        self.rows = rows
        self._kept_as = dtype
        self.room = 0
        self._layers: list[tuple[Any, Any]] = []
        self._from = 0  # what the forward pass that runs now writes: first row, rows, start in each, new tokens
        self._count = 0
        self._starts: list[int] = []
        self._places: Any = None
        self._width = 1

    def begin(self, first: int, starts: Sequence[int], width: int, device: Any) -> Any:
        """Makes ready for a pass of `width` tokens of each row from `first` on, which have `starts` tokens already.

        Returns the mask, of shape (rows, 1, width, longest): True where a token is seen.
        """
        import torch

        self._from, self._count, self._starts, self._width = first, len(starts), list(starts), width
        longest = max(starts) + width
        self._grow(longest)
        begins = torch.tensor(self._starts, device=device)
        self._places = begins[:, None] + torch.arange(width, device=device)
        return (torch.arange(longest, device=device) <= self._places[:, :, None])[:, None]

    @property
    def places(self) -> Any:
        """The positions of the tokens of this pass, of shape (rows, width)."""
        return self._places

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Called by each layer: takes its new keys and values, and gives all of these rows."""
        if layer == len(self._layers):
            shape = (self.rows, keys.shape[1], self.room)
            new = (each.new_zeros(*shape, each.shape[3], dtype=self._kept_as) for each in (keys, values))
            self._layers.append((next(new), next(new)))
        longest = max(self._starts) + self._width
        rows = slice(self._from, self._from + self._count)
        result = []
        for buffer, new in zip(self._layers[layer], (keys, values), strict=True):
            if self._count == 1:
                buffer[self._from, :, self._starts[0] : longest] = new[0]
            else:  # one token each
                import torch

                index = torch.arange(self._from, self._from + self._count, device=new.device)
                buffer[index, :, self._places[:, 0]] = new[:, :, 0].to(buffer.dtype)
            result.append(buffer[rows, :, :longest])
        return result[0], result[1]

    def get_seq_length(self, _layer: int = 0) -> int:
        return max(self._starts, default=0)

    def get_mask_sizes(self, _query: Any, _layer: int = 0) -> tuple[int, int]:
        return max(self._starts, default=0) + self._width, 0

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` tokens of one slot to another."""
        for pair in self._layers:
            for buffer in pair:
                buffer[target, :, :length] = buffer[source, :, :length]

    def take(self, slot: int, length: int) -> list[Any]:
        """A copy of the first `length` tokens of a slot."""
        return [buffer[slot, :, :length].clone() for pair in self._layers for buffer in pair]

    def put(self, slot: int, tensors: Sequence[Any], length: int) -> None:
        """Lays the first `length` tokens of what `take` gave into a slot."""
        self._grow(length)
        if not self._layers:
            self._layers = [
                tuple(tensor.new_zeros(self.rows, tensor.shape[0], self.room, tensor.shape[2]) for tensor in pair)
                for pair in zip(tensors[::2], tensors[1::2], strict=True)
            ]
        for buffer, tensor in zip((buffer for pair in self._layers for buffer in pair), tensors, strict=True):
            buffer[slot, :, :length] = tensor[:, :length]

    def clear(self) -> None:
        """Frees the buffers."""
        self._layers, self.room = [], 0

    def _grow(self, length: int) -> None:
        if length <= self.room:
            return
        room = max(length, self.room + self.room // 4)
        room = (room + _ROOM - 1) // _ROOM * _ROOM
        for number, pair in enumerate(self._layers):
            grown = []
            for buffer in pair:
                wider = buffer.new_zeros(buffer.shape[0], buffer.shape[1], room, buffer.shape[3])
                wider[:, :, : self.room] = buffer
                grown.append(wider)
            self._layers[number] = (grown[0], grown[1])
        self.room = room


@dataclass(slots=True)
class _Entry:
    tensors: list[Any]
    size: int


class Conversations:
    """Keys and values of conversations that ended a turn, by their ids, the least lately used ones thrown away.

    `limit`: bytes that they may take.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._entries: OrderedDict[tuple[int, ...], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, ids: Sequence[int]) -> tuple[list[Any], int]:
        """The tensors that share the most tokens at the beginning of `ids`, and how many these are."""
        best, length = None, 0
        for known in self._entries:
            shared = shared_prefix(known, ids)
            if shared > length:
                best, length = known, shared
        if best is None:
            return [], 0
        self._entries.move_to_end(best)
        return self._entries[best].tensors, length

    def keep(self, ids: tuple[int, ...], tensors: list[Any]) -> None:
        """Keeps a conversation, in place of those that it goes on from."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > self.limit:
            return
        for known in [known for known in self._entries if ids[: len(known)] == known]:
            self.size -= self._entries.pop(known).size
        self._entries[ids] = _Entry(tensors, size)
        self.size += size
        while self.size > self.limit:
            self.size -= self._entries.popitem(last=False)[1].size

    def clear(self) -> None:
        self._entries.clear()
        self.size = 0


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences of one type share at their beginning."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low + 1 < high:  # they share `low` tokens, and not `high`
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def attend(
    _module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **_: Any
) -> tuple[Any, None]:
    """Attention as transformers calls it, over the slots. `attention_mask` is that of `Slots.begin`.

    Query heads that share a key-value head are laid side by side as if they were more tokens, so that keys and values
    of a long conversation are not repeated in memory for each of them.
    """
    from torch.nn.functional import scaled_dot_product_attention

    rows, heads, width, size = query.shape
    shared = heads // key.shape[1]
    folded = query.reshape(rows, key.shape[1], shared * width, size).to(key.dtype)
    mask = attention_mask.repeat(1, 1, shared, 1) if width > 1 else attention_mask
    result = scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scaling)
    return result.reshape(rows, heads, width, value.shape[3]).transpose(1, 2), None

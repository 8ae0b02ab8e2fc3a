"""Files in messages: data URLs and the ids of uploads, as attachments."""

import base64
import binascii
import hashlib
import mimetypes
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from workroom.serve.ask import Attachment
from workroom.serve.errors import ApiError, bad_request, not_found
from workroom.serve.filestore import FileStore
from workroom.serve.names import safe_name
from workroom.serve.settings import Key

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_SUFFIXES = {"image/jpeg": ".jpg", "text/plain": ".txt", "audio/mpeg": ".mp3", "audio/wav": ".wav"}


def from_data(data: Any, filename: Any, where: str, stem: str = "file") -> Attachment:
    """A data URL, or bare base64, as an attachment. `where` names the field; `stem` is for a name where none is given.

    Raises ApiError (400): for other URLs too, because this server fetches nothing.
    """
    if not isinstance(data, str) or not data:
        raise bad_request(f"{where} must be a data URL", where)
    if re.match(r"[a-z][a-z0-9+.-]*://", data, re.IGNORECASE):
        raise bad_request(
            f"{where} is an address, and this server fetches nothing: send the content as a data URL, or upload it and "
            "give its file_id",
            where,
            "invalid_url",
        )
    media_type, content = _decoded(data, where)
    if filename is not None and not isinstance(filename, str):
        raise bad_request(f"the filename beside {where} must be text", where)
    name = filename or stem + (_SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or "")
    identity = hashlib.sha256(f"{safe_name(filename or '')}\0".encode() + content).hexdigest()
    return Attachment(name, identity, content)


def from_upload(files: FileStore, key: Key, name: Any, where: str) -> Attachment:
    """An uploaded file as an attachment. Raises ApiError: 400 for what is no id, 404 where the key has no such file."""
    if not isinstance(name, str):
        raise bad_request(f"{where} must be the id of a file", where)
    try:
        file = files.get(key, name)
    except ApiError as error:
        raise not_found(error.message, "file_not_found", where) from None
    return Attachment(file.filename, file.id, files.path(file))


def _decoded(data: str, where: str) -> tuple[str, bytes]:
    match = _DATA_URL.match(data)
    try:
        if match is None:
            return "", _unpacked(data)
        rest = data[match.end() :]
        if "base64" in match[2].lower().split(";"):
            return match[1].lower(), _unpacked(unquote_to_bytes(rest).decode("ascii"))
        return match[1].lower(), unquote_to_bytes(rest)
    except (binascii.Error, ValueError):
        raise bad_request(f"{where} is no data URL: its base64 is broken", where) from None


def _unpacked(data: str) -> bytes:
    """Base64 as browsers take it: with line breaks in it, and without padding."""
    text = "".join(data.split()).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)

"""The routes of files: OpenAI's `/v1/files`, and the signed links that lead to what models have made."""

import asyncio
import contextlib
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from workroom.sandbox.base import parse_size
from workroom.serve.errors import ApiError, bad_request, not_stored, too_large, unsupported
from workroom.serve.filestore import FileStore, StoredFile
from workroom.serve.settings import Key
from workroom.serve.wire import base_url, bounded_receive, key_of, service_of

_FORM = 1 << 16  # bytes of a form beside its file
_PIECE = 1 << 20
_LONGEST_PURPOSE = 64
_PAGE = 10_000  # files of one answer at most, as OpenAI has it
# What a browser may show by itself. Everything else, HTML and SVG above all, is only ever saved.
_SHOWN = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".bmp": "image/bmp", ".avif": "image/avif",
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".ogg": "audio/ogg", ".flac": "audio/flac", ".m4a": "audio/mp4",
    ".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime",
    ".pdf": "application/pdf",
    ".txt": "text/plain", ".md": "text/plain", ".csv": "text/plain", ".log": "text/plain", ".json": "text/plain",
}  # fmt: skip
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


class _Content(FileResponse):
    """A file, or the part of it that is asked for. Raises ApiError (400, 416) for a part that cannot be."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            status = message.get("status", HTTPStatus.OK)
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                size = self.headers["content-length"]
                error = ApiError(416, f"the file has {int(size):,} bytes, none in that range", param="Range")
                error.headers["content-range"] = f"bytes */{size}"
                raise error
            if status == HTTPStatus.BAD_REQUEST:
                raise bad_request("the header Range must be as bytes=0-99", "Range")
            await send(message)

        await super().__call__(scope, receive, sending)


async def upload(request: Request) -> Response:
    """`POST /v1/files`. Raises ApiError: 400 for a form that is none, 413 for a file that is too large."""
    service, key = service_of(request), key_of(request)
    most, room = parse_size(service.settings.max_file), service.files.room(key)
    if not (limit := min(most, room)):
        raise too_large("the quota of this key is used up: delete some files")
    why = "that are taken" if most < room else "that the quota of this key has room for: delete some files"
    larger = too_large(f"the file has more than the {limit:,} bytes {why}")
    bounded = bounded_receive(request.receive, limit + _FORM, request.headers.get("content-length"), larger)
    form = await _form(Request(request.scope, bounded))
    try:
        file, purpose = form.get("file"), form.get("purpose")
        if any(name.startswith("expires_after") for name in form):
            raise unsupported("expires_after", "expires_after is not supported: files are kept until they are deleted")
        if isinstance(file, str):
            raise bad_request('the part file of the form has no filename="..."', "file")
        if not isinstance(file, UploadFile):
            raise bad_request("the form needs a file in the field file", "file")
        if not isinstance(purpose, str) or not purpose.strip() or len(purpose) > _LONGEST_PURPOSE:
            raise bad_request("the form needs a purpose, such as user_data", "purpose")
        if (file.size or 0) > limit:
            raise larger
        try:
            stored = await asyncio.to_thread(_store, file, purpose, key, service.files, service.uploads)
        except OSError as error:
            raise not_stored("the file", error) from error
    finally:
        await form.close()
    return JSONResponse(_object(stored, request))


async def list_files(request: Request) -> Response:
    """`GET /v1/files`, a page after the file `after`."""
    store, key, query = service_of(request).files, key_of(request), request.query_params
    files, rising = store.listed(key), query.get("order") == "asc"
    if purpose := query.get("purpose"):
        files = [file for file in files if file.purpose == purpose]
    if rising:
        files.reverse()
    if after := query.get("after"):
        files = store.listed_after(key, after, files, older=not rising)
    limit = query.get("limit", str(_PAGE))
    if not limit.isdecimal() or len(limit) > len(str(_PAGE)) or not 1 <= int(limit) <= _PAGE:
        raise bad_request(f"limit must be a whole number from 1 to {_PAGE}", "limit")
    page = [_object(file, request) for file in files[: int(limit)]]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return JSONResponse({"object": "list", "data": page, "has_more": len(files) > int(limit), **ends})


async def get_file(request: Request) -> Response:
    """`GET /v1/files/{id}`."""
    return JSONResponse(_object(_asked(request), request))


async def delete_file(request: Request) -> Response:
    """`DELETE /v1/files/{id}`."""
    file = _asked(request)
    service_of(request).files.remove([file])
    return JSONResponse({"id": file.id, "object": "file", "deleted": True})


async def file_content(request: Request) -> Response:
    """`GET /v1/files/{id}/content`, always to be saved, never to be shown."""
    return _response(service_of(request).files, _asked(request), shown=False)


async def linked_file(request: Request) -> Response:
    """`GET /files/{id}/{signature}/{name}`, for whoever has the link."""
    files, given = service_of(request).files, request.path_params
    return _response(files, files.linked(given["id"], given["signature"]), shown=True)


async def _form(request: Request) -> FormData:
    try:
        return await request.form(max_files=1, max_fields=16)
    except (MultiPartException, HTTPException) as error:
        words = error.message if isinstance(error, MultiPartException) else error.detail
        raise bad_request(f"the body is no multipart form: {words}") from None
    except OSError as error:
        raise not_stored("the file", error) from error


def _store(file: UploadFile, purpose: str, key: Key, files: FileStore, folder: Path) -> StoredFile:
    """Takes an upload in. Raises OSError where the disk fails, ApiError (413) for too large a file."""
    with tempfile.NamedTemporaryFile(dir=folder) as held:
        while piece := file.file.read(_PIECE):
            held.write(piece)
        held.flush()
        return files.add(key, Path(held.name), _unescaped(file.filename or ""), purpose)


def _unescaped(name: str) -> str:
    """A name as it was before a browser escaped what a form cannot hold."""
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _asked(request: Request) -> StoredFile:
    return service_of(request).files.get(key_of(request), request.path_params["id"])


def _object(file: StoredFile, request: Request) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created),
        "expires_at": None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
        "url": base_url(request) + service_of(request).files.link(file),
    }


def _response(files: FileStore, file: StoredFile, *, shown: bool) -> Response:
    path = files.path(file)
    with contextlib.suppress(OSError):
        status = path.stat()
        kind = _SHOWN.get(Path(file.filename).suffix.lower()) if shown else None
        # The viewer of PDFs, which runs no script of a page, does not start in a sandboxed document.
        policy = _POLICY.replace(" sandbox;", "") if kind == "application/pdf" else _POLICY
        return _Content(
            path,
            stat_result=status,
            filename=file.filename,
            media_type=f"{kind}; charset=utf-8" if kind == "text/plain" else kind or "application/octet-stream",
            content_disposition_type="inline" if kind else "attachment",
            headers={
                "x-content-type-options": "nosniff",
                "content-security-policy": policy,
                "referrer-policy": "no-referrer",
                "cache-control": "private, max-age=3600",
            },
        )
    raise ApiError(404, "the content of the file is gone", code="file_not_found")

"""The routes, put together."""

from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from workroom.sandbox.base import parse_size
from workroom.serve import files_api, metrics
from workroom.serve.chat import chat_completions
from workroom.serve.conversation import Conversation
from workroom.serve.errors import bad_request, closing, unsupported
from workroom.serve.gate import Gate
from workroom.serve.responses import responses
from workroom.serve.service import Service
from workroom.serve.wire import key_of, read_json, service_of
from workroom.serve.work import check_model

_METADATA = 16  # entries, as OpenAI has it
_LONGEST = 512  # characters of each


def make_app(service: Service) -> ASGIApp:
    """The ASGI application of a service."""
    routes = [
        Route("/v1/models", list_models, methods=["GET"]),
        Route("/v1/models/{id:path}", get_model, methods=["GET"]),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/files", files_api.upload, methods=["POST"]),
        Route("/v1/files", files_api.list_files, methods=["GET"]),
        Route("/v1/files/{id}", files_api.get_file, methods=["GET"]),
        Route("/v1/files/{id}", files_api.delete_file, methods=["DELETE"]),
        Route("/v1/files/{id}/content", files_api.file_content, methods=["GET"]),
        Route("/v1/conversations", make_conversation, methods=["POST"]),
        Route("/v1/conversations/{id}", get_conversation, methods=["GET"]),
        Route("/v1/conversations/{id}", delete_conversation, methods=["DELETE"]),
        Route("/files/{id}/{signature}/{name}", files_api.linked_file, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/metrics", prometheus, methods=["GET"]),
    ]
    app: ASGIApp = Gate(
        Router(routes, redirect_slashes=False), service, {route.endpoint: route.path for route in routes}
    )
    if service.settings.cors:
        app = CORSMiddleware(
            app,
            allow_origins=service.settings.cors,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["X-Conversation-Id", "X-Request-Id", "Retry-After"],
        )
    return app


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: the one model."""
    return JSONResponse({"object": "list", "data": [_model(service_of(request).model_names[0], request)]})


async def get_model(request: Request) -> Response:
    """`GET /v1/models/{id}`."""
    name = check_model(request.path_params["id"], service_of(request).model_names)
    return JSONResponse(_model(name, request))


async def make_conversation(request: Request) -> Response:
    """`POST /v1/conversations`: an empty one. Raises ApiError: 400 for a body that has messages, 503 at the end."""
    service = service_of(request)
    if service.closing:
        raise closing()
    body = await read_json(request, parse_size(service.settings.max_body), empty=True)
    if body.get("items"):
        raise unsupported("items", "items are not supported: send them with the first request")
    metadata = body.get("metadata") or {}
    texts = (*metadata, *metadata.values()) if isinstance(metadata, dict) else (None,)
    if len(texts) > 2 * _METADATA or not all(isinstance(text, str) and len(text) <= _LONGEST for text in texts):
        raise bad_request(
            f"metadata must be an object of at most {_METADATA} texts of at most {_LONGEST} characters", "metadata"
        )
    return JSONResponse(_conversation(service, service.conversations.make(key_of(request), metadata)))


async def get_conversation(request: Request) -> Response:
    """`GET /v1/conversations/{id}`."""
    service = service_of(request)
    found = service.conversations.get(key_of(request), request.path_params["id"])
    return JSONResponse(_conversation(service, found))


async def delete_conversation(request: Request) -> Response:
    """`DELETE /v1/conversations/{id}`: with its sandbox and the files it made."""
    service = service_of(request)
    found = service.conversations.get(key_of(request), request.path_params["id"])
    await service.forget(found)
    return JSONResponse({"id": found.id, "object": "conversation.deleted", "deleted": True})


async def health(request: Request) -> Response:
    """`GET /health`: 200 where requests can be worked on, else 503."""
    service = service_of(request)
    ready = not service.closing and not service.sandbox_failed
    state: dict[str, Any] = {
        "status": "closing" if service.closing else "ready" if ready else "failing",
        "sandbox": "failing" if service.sandbox_failed else "ok",
        "running": service.line.working,
        "waiting": service.line.waiting,
    }
    return JSONResponse(state, 200 if ready else 503)


async def prometheus(request: Request) -> Response:
    """`GET /metrics`."""
    return Response(service_of(request).metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})


def _conversation(service: Service, found: Conversation) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "conversation",
        "created_at": int(found.created),
        "metadata": found.metadata,
        "requests": found.requests,
        "busy": found.busy,
        "documents": sorted(found.documents.values()),
        "files": [file.id for file in service.files.of_conversation(found.key, found.id)],
    }


def _model(name: str, request: Request) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": service_of(request).started, "owned_by": "workroom"}

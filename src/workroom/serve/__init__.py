"""`workroom serve`: a sandbox behind an OpenAI-compatible chat endpoint.

    app ─▶ chat ─▶ Service ─▶ Exchange ─▶ Conversation ─▶ Sandbox
                     │            └─▶ Run (one episode)
                     ├─▶ Line (who works, who waits)
                     ├─▶ FileStore (uploads and artefacts)
                     └─▶ Ledger (what each key has used)

An exchange is one request and its answer. Only `app`, `wire`, `chat` and `files_api` know HTTP; all else can be used
without it.
"""

"""`workroom serve`: a sandbox behind an OpenAI-compatible chat endpoint.

    app ─▶ chat, responses ─▶ work ─▶ Service ─▶ Exchange ─▶ Conversation ─▶ Sandbox
                                        │            └─▶ Run (one episode)
                                        ├─▶ Line (who works, who waits)
                                        ├─▶ FileStore (uploads and artefacts)
                                        └─▶ Ledger (what each key has used)

An exchange is one request and its answer. Only `app`, `wire`, `work`, `chat`, `responses` and `files_api` know HTTP;
all else can be used without it.
"""

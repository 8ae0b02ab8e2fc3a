"""Pages that show what happened: of a run and of a bench, as one file or served while it goes on.

events.jsonl ─▶ turns ─┐
files/ ────▶ artefacts ─┼─▶ run_page ─▶ page (one HTML file)
run.json ──────────────┘

Everything that a model or a sandbox made is hostile. It reaches a page as data only: base64 in elements that no browser
runs, put into the document as text, and never as markup.
"""

"""Suites of tasks, run in several arms, graded alike, compared honestly.

suite folder ─▶ tasks ─▶ attempts (runner) ─▶ graders ─▶ scores ─▶ statistics ─▶ report, comparison
                             │
                             └─ `store.BenchDirectory` keeps all of it: config.toml, tasks.jsonl, index.jsonl,
                                scores.jsonl, attempts/<suite>/<task>/<mode>/<repeat>/, report/
"""

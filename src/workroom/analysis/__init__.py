"""What a model did in its episodes, read from their trajectories alone.

events ─▶ calls ─▶ shell, python_code ─▶ rules ─▶ capabilities ─┐
   ├─▶ phrases ─────────────────────────────────────────────────┼─▶ summary (per domain and mode)
   └─▶ tokens ──────────────────────────────────────────────────┘
"""

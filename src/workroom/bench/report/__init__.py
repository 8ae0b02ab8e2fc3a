def write_report(bench, on_progress=None):
    pass

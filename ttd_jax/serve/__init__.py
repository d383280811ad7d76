"""A fusion over HTTP: a small service for programs, a page for people, one set of limits for both.

``app`` makes the service, ``page`` the page, ``run`` starts either; ``work`` fuses for them in threads that share
compiled programs. The extras ``serve`` and ``demo`` bring FastAPI and Gradio, which only this folder imports.
"""

"""Gives any language model a computer."""

"""Tests of the page: its server asked over HTTP, and what people see in a real browser."""

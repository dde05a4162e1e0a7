"""The tester of scripts."""

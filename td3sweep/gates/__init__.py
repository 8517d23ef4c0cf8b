"""Gates: a run goes on to more steps only if what it has shown so far is sound (docs/gates.md)."""

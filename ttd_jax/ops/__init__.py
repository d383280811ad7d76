"""Pure image operations on arrays, channels last."""

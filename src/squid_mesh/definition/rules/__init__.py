"""The rules of a spec, by what they are about. `validation` puts them together."""

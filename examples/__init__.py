"""Small applications that use Squid Mesh as a reader would."""

"""The use cases of OAuth towards servers: connecting a credential, and keeping its tokens good."""

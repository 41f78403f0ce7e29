"""A map whose memory follows its contents, up and down."""

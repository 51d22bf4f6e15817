"""The grammars on the wire: four codecs that meet in the canon. One dialect never imports another."""

"""The license: the vendor's token, kept, judged and served as the vendor allows; never made here."""

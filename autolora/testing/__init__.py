"""The laws that every case must keep, for cases of your own."""

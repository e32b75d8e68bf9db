//! Records that several writers keep in step. Nothing of it is written yet: the tape machine needs none of it.

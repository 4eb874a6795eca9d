// Package contents reads whole image layers for what the removal of the
// SkyWalking agent bears on: agents with their settings, applications that use
// its toolkit, text files that name it, and which Java there is.
//
// Read makes a Layer of a tar stream, which is worth keeping by diffID; Merge
// puts the layers of an image together and leaves out what an upper layer
// replaced or removed. It knows no registry, extracts nothing, and decides
// nothing.
package contents

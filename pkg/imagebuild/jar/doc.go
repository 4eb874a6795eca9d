// Package jar reads Java archives as streams, archives within archives
// included, and finds what the removal of the SkyWalking agent bears on: its
// toolkit, as a library, as classes in another jar, and in the names that
// classes and configuration files refer to.
//
// An archive is read from its start, by its local headers, and never held: a
// layer is a stream, and archives of a hundred megabytes are common. What only
// the central directory would tell is not read, and Report says so.
//
// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.4.
package jar

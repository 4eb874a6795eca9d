// Package migrate is the conductor: it runs the steps of a migration in order
// and owns the interfaces through which it reaches git, registries, the forge
// and clusters. Decisions are made by the pure packages below it; it decides
// only what comes next.
package migrate

// Package e2e drives the built binary over real servers: git http-backend, CNCF
// distribution and the sandbox's forge and cluster. Its tests need the build
// tag e2e; "make e2e" runs them.
package e2e

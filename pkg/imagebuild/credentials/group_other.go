//go:build !unix

package credentials

import "os/exec"

// endTogether is for Unix; elsewhere the program alone is ended.
func endTogether(*exec.Cmd) {}

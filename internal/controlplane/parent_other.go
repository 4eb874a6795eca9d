//go:build !linux

package controlplane

import "os/exec"

// dieWithParent is for Linux; elsewhere Close alone ends the process.
func dieWithParent(*exec.Cmd) {}

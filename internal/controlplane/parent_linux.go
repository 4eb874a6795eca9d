package controlplane

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the process when the test binary ends in any way.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

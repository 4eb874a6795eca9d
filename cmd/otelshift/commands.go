package main

import "github.com/urfave/cli/v2"

// commands lists every command; each constructor has a file of its own.
// ArgsUsage is binding: "" takes no argument, "IMAGE" one, "[IMAGE]" at most
// one, "IMAGE..." one or more.
func commands(e *env) []*cli.Command {
	return []*cli.Command{
		initCommand(e),
		planCommand(e),
		rewriteCommand(e),
		buildCommand(e),
		checkCommand(e),
		proposeCommand(e),
		verifyCommand(e),
		runCommand(e),
		statusCommand(e),
		inspectCommand(e),
		fnCommand(e),
		demoCommand(e),
		configCommand(e),
		completionCommand(e),
		versionCommand(e),
	}
}

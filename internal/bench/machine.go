// SPDX-License-Identifier: AGPL-3.0-only

package bench

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine is where figures were measured, and of what: figures of two machines say nothing about each other.
type machine struct {
	System string `json:"system"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
	Load   string `json:"load"` // of the last 1, 5 and 15 minutes, when the run began
}

// thisMachine describes the one that runs this. What cannot be found out is "unknown".
func thisMachine(ctx context.Context) machine {
	found := machine{
		System: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown", Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Commit: "unknown", Load: "unknown",
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				found.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		found.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	if text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--exclude", "*", "--dirty").Output(); err == nil {
		found.Commit = strings.TrimSpace(string(text))
	}
	return found
}

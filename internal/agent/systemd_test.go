// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
)

// sandboxed says why each line that takes something from the service is there (systemd.exec(5)).
func sandboxed() map[string]string {
	return map[string]string{
		"UMask=0077":                                       "a file is closed to others unless its mode is set",
		"LimitCORE=0":                                      "a core file would hold keys",
		"MemorySwapMax=0":                                  "keys in memory are not written to swap",
		"PrivateTmp=yes":                                   "nobody lays links in its way",
		"PrivateDevices=yes":                               "it needs no device but null, zero and random",
		"PrivateIPC=yes":                                   "nobody shares its memory by name",
		"ProtectSystem=yes":                                "programs in /usr and kernels in /boot are not its to change",
		"ReadWritePaths=-/usr/local":                       "but the trust store is: /usr/local/share/ca-certificates",
		"ProtectClock=yes":                                 "it looks at the clock only",
		"ProtectHostname=yes":                              "it asks for the machine's name only",
		"ProtectKernelLogs=yes":                            "it reads no kernel's log",
		"ProtectKernelModules=yes":                         "it loads no module",
		"ProtectKernelTunables=yes":                        "it sets nothing of the kernel's",
		"ProtectControlGroups=yes":                         "systemd sets its limits",
		"ProtectProc=invisible":                            "other processes are none of its business",
		"NoNewPrivileges=yes":                              "what it starts gets no more than it has",
		"RestrictNamespaces=yes":                           "it makes no containers",
		"RestrictRealtime=yes":                             "it must not take a processor from others",
		"RestrictSUIDSGID=yes":                             "no file of its makes somebody root",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6": "hooks, the controller and who asks for revocation lists; nothing else",
		"LockPersonality=yes":                              "it is what it is built for",
		"MemoryDenyWriteExecute=yes":                       "data is not executed",
		"SystemCallArchitectures=native":                   "calls of other architectures pass by filters",
		"SystemCallFilter=@system-service":                 "what services commonly need; a chown for file-owner is in it",
		"SystemCallFilter=~@keyring @memlock":              "of that, what Go's runtime and systemctl do not call",
		"SystemCallErrorNumber=EPERM":                      "a program that tries more is told, and not killed half-way",
		"CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE": "it is root for " +
			"files of others (file-owner, agent.conf, certificate-directory) and for the ports below 1024 that listen may name",
	}
}

// granted says what systemd-analyze security misses, and why the service needs it.
func granted() map[string]string {
	return map[string]string{
		"User":                 "only root reads agent.conf, and files of root are what it lays on disk",
		"DynamicUser":          "likewise",
		"PrivateUsers":         "owners of files would not be those of the machine",
		"ProtectHome":          "/root/cdk is where Charmed Kubernetes looks for certificates (links=charmed-kubernetes)",
		"ProtectSystem=strict": "certificate-directory, links and kubeconfig-merge name any folder",
		"PrivateNetwork":       "the controller is on the network",
		"IPAddressDeny":        "the controller's addresses change, and anybody may ask for revocation lists",
		"ProcSubset":           "systemctl reads of /proc what is about no process",
		"RootDirectory":        "it works on the machine's own files",
	}
}

func TestSystemdUnitIsHardened(t *testing.T) {
	t.Parallel()
	unit := agent.SystemdUnit{
		Name: "signet-signet-0", Binary: "/var/lib/juju/agents/unit-signet-0/charm/dispatch",
		Args: []string{"agent", "--unit", `odd "$name" %i\`},
	}.File()
	_, service, found := strings.Cut(unit, "\n[Service]\n")
	require.True(t, found)
	service, _, _ = strings.Cut(service, "\n\n")
	running := []string{
		"Type=notify", "Restart=always", "RestartSec=5",
		`ExecStart="/var/lib/juju/agents/unit-signet-0/charm/dispatch" "agent" "--unit" "odd \"$$name\" %%i\\"`,
	}
	var lines []string
	for line := range strings.Lines(service) {
		lines = append(lines, strings.TrimSpace(line))
	}
	wanted := append([]string{}, running...)
	for line, reason := range sandboxed() {
		require.NotEmpty(t, reason, line)
		wanted = append(wanted, line)
	}
	require.ElementsMatch(t, wanted, lines, "each line of the service has its reason")
	for directive, reason := range granted() {
		require.NotEmpty(t, reason)
		require.NotContains(t, "\n"+service, "\n"+directive+"=", "%s would break it: %s", directive, reason)
		require.NotContains(t, lines, directive)
	}
}

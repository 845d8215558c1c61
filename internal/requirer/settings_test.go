// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

func TestImpossibleOptionsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	for sentence, c := range map[string]struct {
		values map[string]any
		option string
		reason string
	}{
		"a profile of nobody's":         {map[string]any{"certificate-profile": "master"}, "certificate-profile", "none of generic, control-plane, worker, etcd"},
		"a long common name":            {map[string]any{"common-name": long}, "common-name", "more than 64 characters"},
		"a long client's name":          {map[string]any{"client-common-name": long}, "client-common-name", "more than 64 characters"},
		"a name that is none":           {map[string]any{"extra_sans": "good.example.com bad_name"}, "extra_sans", "bad_name"},
		"a client without a name":       {map[string]any{"client-certificates": "=admin"}, "client-certificates", "is not NAME=COMMON-NAME"},
		"a client without common name":  {map[string]any{"client-certificates": "admin="}, "client-certificates", "is not NAME=COMMON-NAME"},
		"a client's path":               {map[string]any{"client-certificates": "../x=admin"}, "client-certificates", "is not NAME=COMMON-NAME"},
		"a client's name that is taken": {map[string]any{"client-certificates": "server=admin"}, "client-certificates", `the name "server" is taken`},
		"a client twice":                {map[string]any{"client-certificates": "a=x a=y"}, "client-certificates", `the name "a" is taken`},
		"a long group":                  {map[string]any{"client-certificates": "a=x," + long}, "client-certificates", "more than 64 characters"},
		"a relative folder":             {map[string]any{"certificate-directory": "pki"}, "certificate-directory", "not a clean absolute path"},
		"a folder that climbs":          {map[string]any{"certificate-directory": "/pki/../etc"}, "certificate-directory", "not a clean absolute path"},
		"the root folder":               {map[string]any{"certificate-directory": "/"}, "certificate-directory", "not a clean absolute path"},
		"a group that cannot enter":     {map[string]any{"file-group": "tls"}, "file-group", "set certificate-directory as well"},
		"an owner who cannot enter":     {map[string]any{"file-owner": "etcd"}, "file-owner", "set certificate-directory as well"},
		"a key for all":                 {map[string]any{"key-mode": "0644"}, "key-mode", "none of auto, 0600, 0640, 0400, 0440"},
		"a link to nowhere":             {map[string]any{"links": "server.crt=cdk/server.crt"}, "links", "nor FILE=/ABSOLUTE/PATH"},
		"a link of no file":             {map[string]any{"links": "shadow=/etc/x"}, "links", `"shadow" is none of the files ca.crt, server.crt`},
		"two links at one place":        {map[string]any{"links": "charmed-kubernetes ca.crt=/root/cdk/server.crt"}, "links", "/root/cdk/server.crt cannot lead to both"},
		"a service with a dash first":   {map[string]any{"reload": "--now"}, "reload", "is not SERVICE"},
		"a verb without a service":      {map[string]any{"reload": "restart:"}, "reload", "is not SERVICE"},
		"a file of no service":          {map[string]any{"reload": "app=server.cert"}, "reload", `"server.cert" is none of the files`},
		"a service twice":               {map[string]any{"reload": "app restart:app.service"}, "reload", "app.service is named twice"},
		"a node of two words":           {map[string]any{"node-name": "node one"}, "node-name", "host name"},
		"an address as a domain":        {map[string]any{"dns-domain": "10.0.0.1"}, "dns-domain", "is not a host name"},
		"a single address as a range":   {map[string]any{"service-cidr": "10.0.0.1/32"}, "service-cidr", "is not a range of addresses"},
		"no range":                      {map[string]any{"service-cidr": "10.0.0.0/24,x"}, "service-cidr", `"x" is not a range`},
		"a balancer's bad address":      {map[string]any{"loadbalancer-ips": "10.0.0.1 -"}, "loadbalancer-ips", "hyphen"},
		"a server in clear":             {map[string]any{"kubernetes-server": "http://10.0.0.1"}, "kubernetes-server", "is not a URL of the form https://host:port"},
		"a server's odd port":           {map[string]any{"kubernetes-server": "https://10.0.0.1:99999"}, "kubernetes-server", "impossible port"},
		"a name that does not print":    {map[string]any{"client-common-name": "a\u200bb"}, "client-common-name", "does not print"},
		"a domain that leaves no room":  {map[string]any{"dns-domain": strings.Repeat("abcdefgh.", 27) + "example"}, "dns-domain", "253 characters"},
		"a server with a password":      {map[string]any{"kubernetes-server": "https://u:hunter2@10.0.0.1"}, "kubernetes-server", "has a user in its URL"},
		"credentials of nobody's":       {map[string]any{"kubeconfig-credentials": "inline"}, "kubeconfig-credentials", "none of path, embedded"},
		"a relative kubeconfig":         {map[string]any{"kubeconfig-merge": "~/.kube/config"}, "kubeconfig-merge", "not a clean absolute path"},
		"a word for a switch":           {map[string]any{"trust-store": "yes"}, "trust-store", "must be true or false"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			config := &juju.Config{Values: c.values}
			ReadSettings(config)
			require.Len(t, config.Errors, 1)
			require.Equal(t, c.option, config.Errors[0].Option)
			require.Contains(t, config.Errors[0].Reason, c.reason)
			require.NotContains(t, config.Errors[0].Error(), "hunter2")
		})
	}
}

func TestOptionsAreReadAsTheySay(t *testing.T) {
	t.Parallel()
	config := &juju.Config{Values: map[string]any{
		"certificate-directory": "/etc/pki", "file-group": "tls", "client-certificates": "admin=kubernetes-admin,system:masters,ops",
		"links":  "load-balancer admin.kubeconfig=/root/.kube/config",
		"reload": "kubelet restart:etcd.service=server.crt,ca.crt reload:app@1.service snap.kubelet.daemon",
	}}
	settings := ReadSettings(config)
	require.Empty(t, config.Errors)
	require.EqualValues(t, 0o640, settings.KeyMode)
	require.Equal(t, []Client{{"admin", "kubernetes-admin", []string{"system:masters", "ops"}}}, settings.Clients)
	require.Equal(t, []order.LinkAt{
		{Path: "/root/.kube/config", File: "admin.kubeconfig"},
		{Path: "/srv/kubernetes/server.crt", File: "server.crt"}, {Path: "/srv/kubernetes/server.key", File: "server.key"},
	}, settings.Links)
	require.Equal(t, []Reload{
		{"kubelet.service", "reload-or-restart", nil}, {"etcd.service", "restart", []string{"server.crt", "ca.crt"}},
		{"app@1.service", "reload", nil}, {"snap.kubelet.daemon.service", "reload-or-restart", nil},
	}, settings.Reloads)
}

// What regular expressions said before: they are the definition, too slow to compile at each start.
func TestNamesAreOfTheirLettersAndLength(t *testing.T) {
	t.Parallel()
	client := regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	service := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.\\@-]{0,199}$`)
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.SampledFrom([]int{0, 1, 30, 31, 32, 33, 198, 199, 200, 201}).Draw(t, "length")
		text := strings.Repeat("a", length) + rapid.StringOfN(rapid.SampledFrom([]rune("aZ09-:_.\\@ /=\né\u212a")), 0, 2, -1).Draw(t, "end")
		require.Equal(t, client.MatchString(text), isClientName(text), "client %q", text)
		require.Equal(t, service.MatchString(text), isServiceName(text), "service %q", text)
	})
}

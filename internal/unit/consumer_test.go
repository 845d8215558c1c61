// SPDX-License-Identifier: AGPL-3.0-only

package unit_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

func TestProfilesAskForWhatSuchMachinesNeed(t *testing.T) {
	t.Parallel()
	own := []string{"juju-1", "juju-1.lxd", "10.1.0.1", "127.0.0.1"}
	cluster := func(domain string) []string {
		return []string{"kubernetes", "kubernetes." + domain, "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain}
	}
	cases := map[string]struct {
		options       []any
		kubeControl   juju.Bag
		names         []string
		alsoClient    bool
		client        string
		organizations []string
	}{
		"generic": {nil, nil, own, false, "node/0", nil},
		"generic with more": {
			[]any{"extra_sans", "Extra.example.com fd00::0:1", "certificate-organization", "ops", "client-common-name", "agent"}, nil,
			slices.Concat(own, []string{"extra.example.com", "fd00::1"}), false, "agent", []string{"ops"},
		},
		"control-plane": {
			[]any{"certificate-profile", "control-plane", "loadbalancer-ips", "10.9.9.9 api.example.com", "service-cidr", "10.152.183.0/24,fd98::/108"}, nil,
			slices.Concat(own, cluster("cluster.local"), []string{"10.9.9.9", "api.example.com", "10.152.183.1", "fd98::1"}), false,
			"system:kube-apiserver", nil,
		},
		"control-plane of a cluster that says its domain": {
			[]any{"certificate-profile", "control-plane"}, juju.Bag{"domain": "Cluster.Example."},
			slices.Concat(own, cluster("cluster.example"), []string{"10.152.183.1"}), false, "system:kube-apiserver", nil,
		},
		"control-plane whose operator says its domain": {
			[]any{"certificate-profile", "control-plane", "dns-domain", "k8s.internal"}, juju.Bag{"domain": "cluster.example"},
			slices.Concat(own, cluster("k8s.internal"), []string{"10.152.183.1"}), false, "system:kube-apiserver", nil,
		},
		"worker": {
			[]any{"certificate-profile", "worker"}, nil, own, false, "system:node:juju-1", []string{"system:nodes"},
		},
		"worker of a cloud": {
			[]any{"certificate-profile", "worker", "node-name", "ip-10-1-0-1.ec2.internal", "certificate-organization", "more"}, nil,
			own, false, "system:node:ip-10-1-0-1.ec2.internal", []string{"system:nodes", "more"},
		},
		"worker by its full name": {
			[]any{"certificate-profile", "worker", "node-name", "fqdn"}, nil, own, false, "system:node:juju-1.lxd", []string{"system:nodes"},
		},
		"etcd": {
			[]any{"certificate-profile", "etcd"}, nil, slices.Concat(own, []string{"10.1.0.2", "10.1.0.3"}), true, "node/0", nil,
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsumer(t, test.options...)
			c.snap.Relations[0].RemoteUnits = map[string]juju.Bag{ // peers
				"node/1": {"ingress-address": "10.1.0.2", "private-address": "10.1.0.3"},
			}
			if test.kubeControl != nil {
				c.snap.Relations = append(c.snap.Relations, kubeControl(9, test.kubeControl))
			}
			c.turn(noon)
			server, err := cert.ParseRequest(c.snap.Local["request.server"])
			require.NoError(t, err)
			names, err := cert.RequestNames(server)
			require.NoError(t, err)
			require.ElementsMatch(t, test.names, names.List())
			require.Equal(t, "10.1.0.1", server.Subject.CommonName)
			_, clientAuth := cert.RequestedUsages(server)
			require.Equal(t, test.alsoClient, clientAuth)
			client, err := cert.ParseRequest(c.snap.Local["request.client"])
			require.NoError(t, err)
			require.Equal(t, test.client, client.Subject.CommonName)
			require.Equal(t, test.organizations, client.Subject.Organization)
			require.Contains(t, c.relation(7).OwnUnit["client_cert_requests"], test.client, "both dialects ask")
		})
	}
}

func kubeControl(id int, bag juju.Bag) juju.Relation {
	return juju.Relation{
		ID: id, Endpoint: juju.Endpoint{Name: "kube-control", Interface: "kube-control", Role: juju.Requires}, RemoteApp: "kubernetes-control-plane",
		OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{"kubernetes-control-plane/0": bag},
	}
}

func TestNothingIsAskedAnewForOrderOrCase(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "extra_sans", "b.example.com a.example.com 10.0.0.9")
	c.snap.Addresses["upstream"] = juju.Addresses{Bind: []string{"10.1.0.1", "10.1.0.2"}, Ingress: []string{"10.1.0.1", "10.1.0.2"}}
	c.turn(noon)
	before := c.relation(7).OwnUnit
	c.snap.Addresses["upstream"] = juju.Addresses{Bind: []string{"10.1.0.2", "10.1.0.1"}, Ingress: []string{"10.1.0.2", "10.1.0.1"}}
	c.snap.Config["extra_sans"] = "10.0.0.9 A.example.com. b.EXAMPLE.com"
	c.turn(noon)
	require.Equal(t, before, c.relation(7).OwnUnit)

	key, err := cert.PublicKeyOf(c.snap.Local["request.server"])
	require.NoError(t, err)
	c.snap.Config["extra_sans"] = "c.example.com"
	c.turn(noon)
	require.NotEqual(t, before, c.relation(7).OwnUnit)
	after, err := cert.PublicKeyOf(c.snap.Local["request.server"])
	require.NoError(t, err)
	require.True(t, cert.SameKey(key, after))
}

func TestAPartialViewOfPeersForgetsNoMember(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "certificate-profile", "etcd")
	c.snap.Relations[0].RemoteUnits = map[string]juju.Bag{"node/1": {"ingress-address": "10.1.0.2"}}
	c.turn(noon)
	before := c.requests(7)
	c.snap.Relations[0].RemoteUnits, c.snap.Relations[0].Partial = nil, true
	c.turn(noon)
	require.Equal(t, before, c.requests(7))
	c.snap.Relations[0].Partial = false
	c.turn(noon)
	require.NotEqual(t, before, c.requests(7))
}

func TestFurtherClientCertificates(t *testing.T) {
	t.Parallel()
	c := newConsumer(t, "client-certificates", "admin=kubernetes-admin,system:masters scheduler=system:kube-scheduler",
		"kubernetes-server", "https://10.0.0.1:6443")
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	c.turn(noon)
	require.Equal(t, juju.Active, c.snap.Status.Level, c.snap.Status.Message)
	admin, err := cert.Parse(c.file("admin.crt"))
	require.NoError(t, err)
	require.Equal(t, []string{"system:masters"}, admin.Subject.Organization)
	require.Contains(t, c.file("admin.kubeconfig"), "kubernetes-admin")
	require.Contains(t, c.file("scheduler.kubeconfig"), "system:kube-scheduler")
	require.NotEmpty(t, c.file("scheduler.key"))

	clash := newConsumer(t, "client-certificates", "admin=node/0")
	clash.turn(noon)
	require.Contains(t, clash.snap.Status.Message, `two client certificates have the common name "node/0"`)
}

// Whatever a provider answers wrongly is refused with a reason, and what is on disk stays.
func TestWrongAnswersAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	cases := map[string]struct {
		spoil  func(c *consumer, ca *scriptedCA) juju.Bag
		reason string
	}{
		"expired": {func(c *consumer, ca *scriptedCA) juju.Bag {
			return ca.answers(c, 7, noon.Add(-40*day), nil)
		}, "it expired at 2026-11-1"},
		"not yet valid": {func(c *consumer, ca *scriptedCA) juju.Bag {
			return ca.answers(c, 7, noon.Add(2*day), nil)
		}, "it is not valid before 2026-11-25 11:59:00: is this machine's clock right?"},
		"another's key": {func(c *consumer, ca *scriptedCA) juju.Bag {
			var entries []map[string]any
			requests := c.requests(7)
			for i, request := range requests {
				entries = append(entries, ca.entry(request, ca.issue(requests[len(requests)-1-i], noon, nil)))
			}
			return juju.Bag{"certificates": encoded(c.t, entries)}
		}, "not for the request's key"},
		"no issuer beside it": {func(c *consumer, ca *scriptedCA) juju.Bag {
			foreign := newScriptedCA(c.t, "foreign")
			var entries []map[string]any
			for _, request := range c.requests(7) {
				entry := ca.entry(request, foreign.issue(request, noon, nil))
				entries = append(entries, entry)
			}
			return juju.Bag{"certificates": encoded(c.t, entries)}
		}, "not signed by any CA certificate that came with it"},
		"fewer names": {func(c *consumer, ca *scriptedCA) juju.Bag {
			return ca.answers(c, 7, noon, func(leaf *x509.Certificate) { leaf.IPAddresses = nil })
		}, "it lacks the names 10.1.0.1, 127.0.0.1"},
		"a CA's": {func(c *consumer, ca *scriptedCA) juju.Bag {
			return ca.answers(c, 7, noon, func(leaf *x509.Certificate) { leaf.IsCA, leaf.BasicConstraintsValid = true, true })
		}, "CA's, which was not asked for"},
		"the other usage": {func(c *consumer, ca *scriptedCA) juju.Bag {
			return ca.answers(c, 7, noon, func(leaf *x509.Certificate) { leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
		}, "incompatible key usage"},
		"no list": {func(*consumer, *scriptedCA) juju.Bag {
			return juju.Bag{"certificates": "{broken"}
		}, "certificates"},
		"a refusal": {func(c *consumer, _ *scriptedCA) juju.Bag {
			return juju.Bag{"request_errors": encoded(c.t, []map[string]any{{
				"csr": c.requests(7)[0], "error": map[string]any{"code": 101, "name": "IP_NOT_ALLOWED", "message": "no addresses here"},
			}})}
		}, "no addresses here"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newScriptedCA(t, "ca")
			c := newConsumer(t)
			c.turn(noon)
			c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
			c.turn(noon)
			files := map[string]string{}
			for _, file := range []string{"server.crt", "server.key", "ca.crt"} {
				files[file] = c.file(file)
				require.NotEmpty(t, files[file])
			}
			c.relation(7).RemoteApplication = test.spoil(c, ca)
			plan := c.turn(noon)
			require.Contains(t, strings.Join(c.said, "\n"), test.reason)
			require.NotEqual(t, juju.Active, c.snap.Status.Level)
			for file, former := range files {
				require.Equal(t, former, c.file(file), file)
			}
			require.False(t, plan.Wake.IsZero())
		})
	}
}

func TestOddAnswersArePutInOrder(t *testing.T) {
	t.Parallel()
	cases := map[string]func(c *consumer, ca *scriptedCA) juju.Bag{
		"a reversed chain": func(c *consumer, ca *scriptedCA) juju.Bag {
			var entries []map[string]any
			for _, request := range c.requests(7) {
				entry := ca.entry(request, ca.issue(request, noon, nil))
				slices.Reverse(entry["chain"].([]string))
				entries = append(entries, entry)
			}
			return juju.Bag{"certificates": encoded(c.t, entries)}
		},
		"text before PEM": func(c *consumer, ca *scriptedCA) juju.Bag {
			var entries []map[string]any
			for _, request := range c.requests(7) {
				entry := ca.entry(request, ca.issue(request, noon, nil))
				entry["certificate"] = "Certificate:\n  Data: it is mine\n" + entry["certificate"].(string)
				entries = append(entries, entry)
			}
			return juju.Bag{"certificates": encoded(c.t, entries)}
		},
		"line ends of another system": func(c *consumer, ca *scriptedCA) juju.Bag {
			return newlines(c.t, ca.answers(c, 7, noon, nil))
		},
	}
	for name, answer := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newScriptedCA(t, "root").below("between")
			c := newConsumer(t)
			c.turn(noon)
			c.relation(7).RemoteApplication = answer(c, ca)
			c.turn(noon)
			require.Equal(t, juju.Active, c.snap.Status.Level, c.snap.Status.Message)
			require.Equal(t, text(ca.root)+"\n", c.file("ca.crt"))
			for _, file := range []string{"server.crt", "client.crt"} {
				chain, err := cert.ParseCertificates(c.file(file))
				require.NoError(t, err)
				require.Len(t, chain, 2, "leaf and intermediate; who verifies has the root")
				require.NoError(t, chain[0].CheckSignatureFrom(chain[1]))
				require.True(t, strings.HasPrefix(c.file(file), "-----BEGIN CERTIFICATE-----\n"))
				require.NotContains(t, c.file(file), "\r")
			}
		})
	}
}

// From EasyRSA to a provider of the CSR dialect, with both related for a while: there is a certificate at each moment.
func TestAMoveToAnotherProvider(t *testing.T) {
	t.Parallel()
	old, next := newScriptedCA(t, "old"), newScriptedCA(t, "next")
	c := newConsumer(t)
	c.turn(noon)
	require.Contains(t, c.relation(7).OwnUnit, "unit_name")
	require.Contains(t, c.relation(7).OwnUnit, "certificate_signing_requests")
	c.relation(7).RemoteUnits = old.legacyAnswers(c, 7, noon)
	c.turn(noon)
	require.Equal(t, text(old.cert)+"\n", c.file("ca.crt"))
	require.Contains(t, c.relation(7).OwnUnit, "unit_name", "EasyRSA speaks no other dialect")
	before := c.file("server.crt")

	c.snap.Relations = append(c.snap.Relations, provides(8, "next"))
	c.turn(noon)
	require.Equal(t, before, c.file("server.crt"), "until the new one answers")
	c.relation(8).RemoteApplication = next.answers(c, 8, noon, nil)
	c.turn(noon)
	leaf, err := cert.Parse(c.file("server.crt"))
	require.NoError(t, err)
	require.NoError(t, leaf.CheckSignatureFrom(next.cert))
	require.Equal(t, text(next.cert)+"\n"+text(old.cert)+"\n", c.file("ca.crt"), "both are trusted in between")
	require.Len(t, c.stored(), 2)
	require.NotContains(t, c.relation(8).OwnUnit, "unit_name", "the legacy request is withdrawn")

	// A renewal does not fall back to the old provider's key, not even for a moment.
	key := c.file("server.key")
	due, asked := cert.RenewAt(leaf), c.requests(8)
	c.turn(due)
	require.NotEqual(t, asked, c.requests(8), "asked again")
	require.Equal(t, key, c.file("server.key"))
	require.Equal(t, text(leaf), strings.TrimSpace(c.file("server.crt")))

	c.snap.Relations = slices.DeleteFunc(c.snap.Relations, func(r juju.Relation) bool { return r.ID == 7 })
	c.relation(8).RemoteApplication = next.answers(c, 8, due, nil)
	c.turn(due)
	require.Equal(t, text(next.cert)+"\n", c.file("ca.crt"))
	require.Equal(t, []string{text(next.cert) + "\n"}, c.stored())
}

func TestARefusedRequestIsMadeAgainLaterAndLater(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	c.turn(noon)
	refuse := func() {
		var errors []map[string]any
		for _, request := range c.requests(7) {
			errors = append(errors, map[string]any{"csr": request, "error": map[string]any{"code": 999, "name": "OTHER", "message": "not today"}})
		}
		c.relation(7).RemoteApplication = juju.Bag{"request_errors": encoded(t, errors)}
	}
	now := noon
	var pauses []time.Duration
	for range 8 {
		refuse()
		plan := c.turn(now)
		require.Contains(t, c.snap.Status.Message, "not today")
		before := c.requests(7)
		c.turn(plan.Wake.Add(-time.Second))
		require.Equal(t, before, c.requests(7), "not before its time")
		pauses = append(pauses, plan.Wake.Sub(now))
		now = plan.Wake
		c.turn(now)
		require.NotEqual(t, before, c.requests(7), "a new request, or nobody would look at it")
	}
	hour := time.Hour
	require.Equal(t, []time.Duration{hour, 2 * hour, 4 * hour, 8 * hour, 16 * hour, 32 * hour, 32 * hour, 32 * hour}, pauses)

	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, now, nil)
	c.turn(now)
	require.Equal(t, juju.Active, c.snap.Status.Level, c.snap.Status.Message)
}

// With a new key for each renewal, the other provider's key is not taken up in between either.
func TestARotationBesideALegacyProvider(t *testing.T) {
	t.Parallel()
	old, next := newScriptedCA(t, "old"), newScriptedCA(t, "next")
	c := newConsumer(t, "rotate-key-on-renewal", true)
	c.turn(noon)
	c.relation(7).RemoteUnits = old.legacyAnswers(c, 7, noon)
	c.snap.Relations = append(c.snap.Relations, provides(8, "next"))
	c.turn(noon)
	c.relation(8).RemoteApplication = next.answers(c, 8, noon, nil)
	c.turn(noon)
	certificate := c.file("server.crt")
	leaf, err := cert.Parse(certificate)
	require.NoError(t, err)
	require.NoError(t, leaf.CheckSignatureFrom(next.cert))
	due := cert.RenewAt(leaf)
	asked := c.requests(8)
	c.turn(due)
	require.NotEqual(t, asked, c.requests(8))
	c.relation(8).RemoteApplication = juju.Bag{"capabilities": "{}", "certificates": encoded(t, []any{next.entry("another unit's", next.cert)})}
	c.turn(due)
	require.Equal(t, certificate, c.file("server.crt"))
	c.relation(8).RemoteApplication = next.answers(c, 8, due, nil)
	c.turn(due)
	require.NotEqual(t, certificate, c.file("server.crt"))
}

// EasyRSA beside it is no reason to give up a provider that refused once.
func TestARefusalIsMadeUpForBesideALegacyProvider(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	c.turn(noon)
	c.relation(7).RemoteUnits = newScriptedCA(t, "old").legacyAnswers(c, 7, noon)
	c.snap.Relations = append(c.snap.Relations, provides(8, "next"))
	c.turn(noon)
	asked := c.requests(8)
	c.relation(8).RemoteApplication = juju.Bag{"request_errors": encoded(t, []map[string]any{{
		"csr": asked[0], "error": map[string]any{"code": 999, "name": "OTHER", "message": "not yet"},
	}})}
	plan := c.turn(noon)
	require.Equal(t, noon.Add(time.Hour), plan.Wake)
	c.turn(plan.Wake)
	require.NotEqual(t, asked, c.requests(8))
}

// A clock that was ahead for a while does not stop renewals.
func TestAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	ca := newScriptedCA(t, "ca")
	c := newConsumer(t)
	c.turn(noon)
	c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
	c.turn(noon)
	ahead := noon.AddDate(0, 0, 25)
	c.turn(ahead) // due: asked again
	c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
	c.turn(noon.Add(time.Hour))
	asked := c.requests(7)
	c.turn(noon.AddDate(0, 0, 21))
	require.NotEqual(t, asked, c.requests(7))
}

// While a renewal is under way a lost file is made up for: the key by this unit's own copy of it.
func TestAKeyThatIsLostDuringARenewal(t *testing.T) {
	t.Parallel()
	c := newConsumer(t)
	c.turn(noon)
	c.relation(7).RemoteApplication = newScriptedCA(t, "ca").answers(c, 7, noon, nil)
	plan := c.turn(noon)
	key := c.file("server.key")
	for range 2 {
		plan = c.turn(plan.Wake)
	}
	c.relation(7).RemoteApplication = juju.Bag{"capabilities": "{}"}
	require.NoError(t, os.Remove(filepath.Join(c.folder.Root(), "files", "certificates", "server.key")))
	c.survey()
	c.turn(noon.AddDate(0, 0, 21))
	require.Equal(t, key, c.file("server.key"))
	require.NotEmpty(t, c.file("server.crt"))
}

func TestARenewalMayTakeANewKey(t *testing.T) {
	t.Parallel()
	for name, rotate := range map[string]bool{"it does": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newScriptedCA(t, "ca")
			c := newConsumer(t, "rotate-key-on-renewal", rotate)
			c.turn(noon)
			c.relation(7).RemoteApplication = ca.answers(c, 7, noon, nil)
			plan := c.turn(noon)
			key, certificate := c.file("server.key"), c.file("server.crt")
			for range 2 { // each certificate has a time of its own
				plan = c.turn(plan.Wake)
			}
			require.Equal(t, certificate, c.file("server.crt"), "the old pair stays until the new one is there")
			require.Equal(t, key, c.file("server.key"))
			c.relation(7).RemoteApplication = ca.answers(c, 7, noon.Add(20*24*time.Hour), nil)
			c.turn(noon.Add(20 * 24 * time.Hour))
			require.NotEqual(t, serialOf(t, certificate), serialOf(t, c.file("server.crt")))
			require.Equal(t, rotate, key != c.file("server.key"))
		})
	}
}

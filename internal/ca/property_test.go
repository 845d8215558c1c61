// SPDX-License-Identifier: AGPL-3.0-only

package ca_test

import (
	"crypto/x509"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// validSpec draws a spec that must be signed.
func validSpec(t *rapid.T) cert.Spec {
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`).Filter(func(label string) bool {
		return len(label) < 4 || label[2:4] != "--" // reserved for IDNA (RFC 5891, 4.2.3.1)
	})
	names := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(label, 1, 4).Draw(t, "labels"), ".")
	})
	address := rapid.Custom(func(t *rapid.T) string {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "IPv6") {
			return netip.AddrFrom16([16]byte(b)).Unmap().String()
		}
		return netip.AddrFrom4([4]byte(b)).String()
	})
	word := rapid.StringMatching(`[A-Za-zÄé0-9:][A-Za-zÄé0-9:. -]{0,20}[A-Za-zÄé0-9:]`)
	spec := cert.Spec{
		Kind:          rapid.SampledFrom([]cert.Kind{cert.Server, cert.Client, cert.Application, cert.Intermediate}).Draw(t, "kind"),
		Organizations: rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, "organizations"),
		Life:          time.Duration(rapid.Int64Range(int64(time.Second), int64(20*365*24*time.Hour)).Draw(t, "life")),
	}
	parsed, err := cert.ParseNames(append(rapid.SliceOfN(names, 0, 6).Draw(t, "DNS"), rapid.SliceOfN(address, 0, 4).Draw(t, "IPs")...))
	require.NoError(t, err)
	spec.Names = parsed
	switch spec.Kind {
	case cert.Server, cert.Application:
		spec.ServerAuth = rapid.Bool().Draw(t, "serverAuth")
		spec.ClientAuth = !spec.ServerAuth || rapid.Bool().Draw(t, "clientAuth")
		if parsed.Len() == 0 || rapid.Bool().Draw(t, "common name") {
			if parsed.Len() == 0 {
				spec.CommonName = "system:" + word.Draw(t, "identity")
			} else if spec.CommonName = parsed.List()[0]; len(spec.CommonName) > 64 {
				spec.CommonName = ""
			}
		}
	default:
		spec.CommonName = "x:" + word.Draw(t, "common name")
	}
	if len(spec.CommonName) == 0 && parsed.Len() == 0 {
		spec.CommonName = "x:1"
	}
	return spec
}

func TestAnyValidSpecIsSignedAsOrdered(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	carrier := memory.open()
	root := x509.NewCertPool()
	root.AppendCertsFromPEM([]byte(signer.Certificate))
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		o := catest.ServerOrder(signer)
		count++
		o.Ask, o.Spec = fmt.Sprint(count), validSpec(t)
		answer := carrier.Carry(t.Context(), o)
		require.Nil(t, answer.Failure)
		leaf, err := cert.Parse(answer.Issued.Certificate)
		require.NoError(t, err)
		_, err = leaf.Verify(x509.VerifyOptions{
			Roots: root, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: leaf.NotBefore,
		})
		require.NoError(t, err)
		require.Equal(t, o.Spec.CommonName, leaf.Subject.CommonName)
		require.ElementsMatch(t, o.Spec.Organizations, leaf.Subject.Organization)
		require.True(t, o.Spec.Names.Equal(cert.NamesOf(leaf)))
		require.Equal(t, o.Spec.Kind == cert.Intermediate, leaf.IsCA)
		require.False(t, leaf.NotAfter.After(parseRapid(t, signer.Certificate).NotAfter))
	})
}

func parseRapid(t *rapid.T, text string) *x509.Certificate {
	certificate, err := cert.Parse(text)
	require.NoError(t, err)
	return certificate
}

// Whatever is ordered, the answer is a certificate that says what was ordered, or a failure: never a panic.
func TestAnyOrderHasAnAnswer(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	signer := memory.create(t, cert.P256)
	carrier := memory.open()
	rapid.Check(t, func(t *rapid.T) {
		o := catest.ServerOrder(signer)
		if rapid.Bool().Draw(t, "other kind") {
			o.Spec.Kind = cert.Kind(rapid.SampledFrom([]string{"client", "intermediate", "", "root"}).Draw(t, "kind"))
		}
		o.Spec.CommonName = rapid.String().Draw(t, "common name")
		o.Spec.Organizations = rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "organizations")
		if rapid.Bool().Draw(t, "other names") {
			o.Spec.Names = cert.Names{
				DNS: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "DNS"), IPs: rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "IPs"),
			}
		}
		o.Spec.PathLen = rapid.IntRange(-2, math.MaxInt).Draw(t, "path length")
		o.Spec.Life = time.Duration(rapid.Int64().Draw(t, "life"))
		o.NotBefore = time.Unix(rapid.Int64().Draw(t, "time"), 0)
		if rapid.Bool().Draw(t, "now") {
			o.NotBefore = time.Now()
		}
		o.Signer.Generation = rapid.Int().Draw(t, "generation")
		answer := carrier.Carry(t.Context(), o)
		if answer.State == order.Failed {
			require.NotEmpty(t, answer.Failure.Code)
			return
		}
		leaf := parseRapid(t, answer.Issued.Certificate)
		require.Equal(t, o.Spec.CommonName, leaf.Subject.CommonName)
		require.True(t, o.Spec.Names.Equal(cert.NamesOf(leaf)))
	})
}

// The profiles are a promise: any change of an extension shows in testdata/profiles.txt.
func TestProfilesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, keyType := range []cert.KeyType{cert.P256, cert.RSA2048} {
		memory := newMemory()
		carrier := ca.New(ca.Config{Store: memory, Journal: memory, Rand: &counting{}})
		authority := authorityOrder(keyType)
		authority.NotBefore = begin
		made := done(t, carrier, authority)
		describe(t, &text, string(keyType)+" authority", made.Authority.Certificate)
		signer := order.Signer{Authority: made.Authority}
		request, _ := catest.Request(t, true)
		for _, c := range []struct {
			name string
			spec cert.Spec
		}{
			{"server", catest.ServerOrder(signer).Spec},
			{"client", cert.Spec{Kind: cert.Client, CommonName: "system:kubelet", Organizations: []string{"system:nodes"}, Life: time.Hour}},
			{"intermediate", cert.Spec{Kind: cert.Intermediate, CommonName: "below", Life: time.Hour}},
			{"request", cert.Spec{Kind: cert.Server, ServerAuth: true, Request: request, Life: time.Hour}},
		} {
			o := order.Sign{Ask: c.name, Spec: c.spec, Signer: signer, NotBefore: begin, KeyType: keyType}
			describe(t, &text, string(keyType)+" "+c.name, done(t, carrier, o).Issued.Certificate)
		}
	}
	golden := filepath.Join("testdata", "profiles.txt")
	if os.Getenv("SIGNET_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String(), "set SIGNET_UPDATE_GOLDEN to accept the change")
}

// counting is a source of serial numbers without randomness.
type counting struct{ next byte }

func (c *counting) Read(p []byte) (int, error) {
	clear(p)
	c.next++
	p[len(p)-1] = c.next
	return len(p), nil
}

// describe writes all of a certificate but what depends on its key.
func describe(t *testing.T, text *strings.Builder, name, certificate string) {
	c := parse(t, certificate)
	fmt.Fprintf(text, "%s\n  version %d, serial %x, %s, key %s\n", name, c.Version, c.SerialNumber, c.SignatureAlgorithm, c.PublicKeyAlgorithm)
	fmt.Fprintf(text, "  issuer %x\n  subject %x\n  from %s to %s\n", c.RawIssuer, c.RawSubject,
		c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
	for _, e := range c.Extensions {
		value := fmt.Sprintf("%x", e.Value)
		if id := e.Id.String(); id == "2.5.29.14" || id == "2.5.29.35" {
			value = fmt.Sprintf("(%d bytes)", len(e.Value))
		}
		fmt.Fprintf(text, "  extension %s critical %t %s\n", e.Id, e.Critical, value)
	}
}

// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-charm/signet/internal/misissue/forge"
)

// hostNames are names that mean something to somebody, that look like one that does, or that are none.
func hostNames() []string {
	return []string{
		"kubernetes", "Kubernetes", "kubernetes.default", "kubernetes.default.svc", "KUBERNETES.DEFAULT.SVC", "kubernetes.default.svc.cluster.local",
		"kubernetes.default.svc.cluster.local.", "kubernetes.", " kubernetes", "kubernetes ", "kubernetes.default.svc.evil.example.org", "xkubernetes",
		"kubernetes.default.svcx", "kubernetes.default.svc.1", "kubernetes.default.svc.xn--p1ai", "kubern\u0435tes", "\uff4bubernetes", "kubernetes\x00.example.com", "kubernetes\n", "kubernetes\u200b", "*.kubernetes", "*.default",
		"*.default.svc", "*.default.svc.cluster.local", "*.svc.cluster.local", "*", "*.", "*.*.example.com", "a*.example.com", "a.*.example.com", "**.example.com",
		"*a.example.com", "*.com", "*.co.uk", "*.github.io", "*.lxd", "*.example.com", "*.apps.example.net", "*.badexample.com", "*.Example.COM", "*.xn--p1ai",
		"*.a.xn--p1ai", "10.0.0.1", "10.1", "1.2.3.4.", "0x7f.1", "0x7f000001", "0X7F.0x0", "2130706433", "a.0x", "a.0xg", "example.123", "a.1.", "::1", "[::1]",
		"fe80::1%eth0", "xn--80ak6aa92e.com", "XN--80ak6aa92e.com", "xn--kubernetes-9fg", "xn--.example.com", "a.xn--p1ai", "xn--a", "a..b", ".a", "a.", "-a.example.com",
		"a-.example.com", "a_b.example.com", strings.Repeat("a", 64) + ".example.com", strings.Repeat("abcdefgh.", 30) + "example.com", "localhost",
		"metadata.google.internal", "example.com", "www.example.com", "badexample.com", "example.com.evil.org", "example.org", "api.internal", "vault.lxd",
		"a/b", "http://example.com", "a@example.com", "s\u00fcd.example.com", "a\u202emoc.elpmaxe", "../../etc/passwd", "a,DNS:kubernetes", "a b", "$(id)", "'; --",
		"node.cluster.local", "web.apps.example.net", "api.svc", "a", "signet", "global-client",
	}
}

// hostAddresses are addresses that lead elsewhere than they seem to, and some that do not.
func hostAddresses() []string {
	return []string{
		"0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1", "169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "fec0::1", "::ffff:10.0.0.1",
		"::ffff:169.254.169.254", "::ffff:0.0.0.0", "127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "8.8.8.8", "fd00::1", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe",
		"0.0.0.1", "240.0.0.1", "100.64.0.1", "::10.0.0.1",
	}
}

// clientNames are common names that Kubernetes, etcd or a proxy may trust, and others like them.
func clientNames() []string {
	return []string{
		"system:kube-apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:kubelet", "system:node:victim", "system:node:",
		"system:node", "system:nodes", "system:masters", "system:anonymous", "system:serviceaccount:kube-system:default", "system:", "System:kube-proxy",
		"SYSTEM:NODE:a", " system:kube-proxy", "system:kube-proxy ", "\tsystem:node:a", "\u00a0system:kube-proxy", "\u3000client", "system\uff1anode:a", "\u0455ystem:node:a",
		"system:node:a\x00b", "client", "Client", "CLIENT", "client ", "front-proxy-client", "Front-Proxy-Client", "aggregator", "Aggregator", "admin", "root", "kubernetes-admin",
		"kube-apiserver", "etcd", "global-client", "signet", "system:backup:1", "kubeadm:cluster-admins", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0",
		"www.example.com", "*.example.com", strings.Repeat("n", 65), strings.Repeat("n", 300), "a\nb", "CN=admin", "a+O=system:masters", "a/O=system:masters", "{{.}}", "vault.lxd",
	}
}

func groups() []string {
	return []string{
		"system:masters", "system:nodes", "System:Masters", " system:masters", "system:masters ", "SYSTEM:MASTERS", "system:authenticated", "system:serviceaccounts",
		"kubeadm:cluster-admins", "KUBEADM:cluster-admins", "kubeadm:", "system:", "Example", "Example GmbH", "\u0455ystem:masters", "masters", "system:backup:1",
		"system:masters\x00", strings.Repeat("o", 65),
	}
}

// hostile makes one request that no charm makes, or a charm's with something wrong with it.
func (a asker) hostile(r *rand.Rand) []*ask {
	if a.app[0] == 'e' && r.IntN(3) == 0 || r.IntN(4) == 0 {
		return a.hostileLegacy(r)
	}
	d := forge.Request{Subject: []forge.RDN{forge.CommonName(a.host() + ".lxd")}, Names: append(forge.DNS(a.host()+".lxd"), forge.Address(a.address())), Key: pick(r, a.pool["p256"]...)}
	kind := Server
	switch r.IntN(4) {
	case 0:
		d.Usages = []asn1.ObjectIdentifier{oidServerAuth, oidClientAuth}
	case 1:
		d.Usages, d.Names = []asn1.ObjectIdentifier{oidClientAuth}, nil
	case 2:
		d.Usages = []asn1.ObjectIdentifier{oidServerAuth}
	}
	if r.IntN(12) == 0 {
		kind = Authority
		d.Names, d.Usages = nil, nil
	}
	for range 1 + r.IntN(2) {
		a.change(r, &d)
	}
	one := a.request(kind, d)
	one.honest = false
	if r.IntN(60) == 0 {
		one.text = spoil(r, one.text)
	}
	if r.IntN(40) == 0 && !strings.Contains(string(one.der), a.first()) { // who writes for the whole application comes before its units
		one.unit = ""
	}
	return []*ask{one}
}

// change makes one thing of a request another.
func (a asker) change(r *rand.Rand, d *forge.Request) {
	name := func() string { return pick(r, hostNames()...) }
	set := func(list []forge.RDN, one ...forge.RDN) []forge.RDN { return append(slices.Clone(list), one...) }
	changes := []func(){
		func() { // the first unit's node, which it has itself
			d.Subject = []forge.RDN{forge.Organization("system:nodes"), forge.CommonName("system:node:" + a.first())}
			d.Names, d.Usages = nil, []asn1.ObjectIdentifier{oidClientAuth}
		},
		func() { d.Subject = []forge.RDN{forge.CommonName(pick(r, clientNames()...))} },
		func() {
			d.Subject = []forge.RDN{forge.CommonName(pick(r, clientNames()...))}
			d.Usages = []asn1.ObjectIdentifier{oidClientAuth}
		},
		func() { d.Subject = set(d.Subject, forge.Organization(pick(r, groups()...))) },
		func() {
			d.Subject = []forge.RDN{forge.Organization(pick(r, groups()...)), forge.Organization(pick(r, groups()...)), forge.CommonName("system:node:" + a.host())}
		},
		func() {
			d.Subject = []forge.RDN{{forge.Text(oidCommonName, pick(r, clientNames()...)), forge.Text(oidOrganization, pick(r, groups()...))}}
		},
		func() { d.Subject = set(d.Subject, forge.CommonName(pick(r, clientNames()...))) },
		func() {
			d.Subject = []forge.RDN{{forge.Typed(oidCommonName, 30, wide(pick(r, clientNames()...)))}, {forge.Typed(oidOrganization, 30, wide(pick(r, groups()...)))}}
		},
		func() {
			d.Subject = []forge.RDN{{forge.Typed(oidCommonName, pick[cbasn1.Tag](r, 12, 19, 22, 20, 4, 28), []byte(pick(r, clientNames()...)))}}
		},
		func() { d.Subject = nil; d.CriticalNames = r.IntN(2) == 0 },
		func() { d.Subject = []forge.RDN{forge.CommonName(name())} },
		func() { d.Names = append(d.Names, forge.DNS(name())...) },
		func() { d.Names = forge.DNS(name(), name()) },
		func() {
			d.Names = append(d.Names, forge.DNS(name())...)
			d.Subject = []forge.RDN{forge.CommonName(name())}
		},
		func() { d.Names = append(d.Names, forge.Address(pick(r, hostAddresses()...))) },
		func() { d.Names = append(d.Names, forge.NameOf(kindIP, make([]byte, pick(r, 0, 3, 5, 8, 15, 17, 32)))) },
		func() { d.Names = append(d.Names, other(r)) },
		func() { d.Names, d.AlwaysNames = nil, r.IntN(2) == 0 },
		func() { d.Usages = pickUsages(r) },
		func() { d.Extensions = append(d.Extensions, oddExtension(r)) },
		func() { d.Extensions = append(d.Extensions, oddExtension(r), oddExtension(r)) },
		func() { d.Key = a.oddKey(r) },
		func() { d.Key = pick(r, append(a.pool["p384"], a.pool["ed25519"]...)...) },
		func() { d.Forged = r.IntN(3) > 0 },
		func() { d.Version = pick[int64](r, 0, 1, 2, -1) },
	}
	if r.IntN(150) == 0 {
		for i := range pick(r, 99, 100, 101, 150) {
			d.Names = append(d.Names, forge.DNS(fmt.Sprintf("h%d.example.com", i))...)
		}
		return
	}
	changes[r.IntN(len(changes))]()
}

// oddKey gives a key that no charm has, weak ones among them. Those that take long are seldom.
func (a asker) oddKey(r *rand.Rand) *forge.Key {
	quick := []string{"p224", "rfc9500-p256", "ed25519", "long-8193", "long-16384", "exponent-1", "exponent-even", "short-512", "off-curve", "x25519", "p384"}
	if r.IntN(6) > 0 {
		return pick(r, a.pool[pick(r, quick...)]...)
	}
	return pick(r, a.pool[pick(r, "short-1024", "short-2047", "exponent-3", "factor-751", "factor-3", "close-2048", "roca-2048", "rfc9500-2048", "p521", "good-3072")]...)
}

// wide is UTF-16 as in a BMPString.
func wide(text string) []byte {
	var out []byte
	for _, c := range text {
		out = append(out, byte(c>>8), byte(c))
	}
	return out
}

// other gives an alternative name that is neither a DNS name nor an address.
func other(r *rand.Rand) forge.Name {
	text := func(kind int, list ...string) forge.Name { return forge.NameOf(kind, []byte(pick(r, list...))) }
	switch r.IntN(8) {
	case 0, 1:
		return text(kindURI, "spiffe://cluster/ns/a/sa/b", "spiffe://clusters/x", "spiffe://evil/ns/kube-system", "https://example.com/x", "urn:a", "", "spiffe://cluster/\n")
	case 2, 3:
		return text(kindMail, "a@example.com", "a@example.org", "nobody", "a@b@example.com", "", "a@sub.example.com", "\"x y\"@example.com", "a@example.com\x00")
	case 4:
		return forge.NameOf(forge.OtherName, []byte("\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x12\x0c\x10root@example.com"))
	case 5:
		return forge.NameOf(forge.Directory, forge.Subject([]forge.RDN{forge.CommonName(pick(r, clientNames()...)), forge.Organization("system:masters")}))
	case 6:
		return forge.NameOf(kindID, []byte{0x2a, 3, 4})
	}
	return forge.NameOf(pick(r, forge.Constructed|3, 0x20|5, 9, kindID, forge.OtherName), []byte{1, 0x80})
}

func pickUsages(r *rand.Rand) []asn1.ObjectIdentifier {
	all := []asn1.ObjectIdentifier{
		oidServerAuth, oidClientAuth, oidClientAuth, {2, 5, 29, 37, 0}, {1, 3, 6, 1, 5, 5, 7, 3, 3}, {1, 3, 6, 1, 5, 5, 7, 3, 4}, {1, 3, 6, 1, 5, 5, 7, 3, 9},
		{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}, {1, 2, 3},
	}
	list := []asn1.ObjectIdentifier{pick(r, all...)}
	for range r.IntN(3) {
		list = append(list, pick(r, all...))
	}
	return list
}

func oddExtension(r *rand.Rand) forge.Extension {
	value := func(hex ...byte) []byte { return hex }
	switch r.IntN(12) {
	case 0:
		return forge.BasicConstraints(true, r.IntN(4)-1)
	case 1:
		return forge.BasicConstraints(false, -1)
	case 2:
		return forge.ExtensionOf(oidConstraints, false, pick(r, value(0x30, 3, 1, 1, 0xff), value(0x30, 3, 1, 1, 1), value(0x30, 3, 2, 1, 5), value(0x30, 1), value()))
	case 3:
		return forge.ExtensionOf(oidKeyUsage, r.IntN(2) == 0, pick(r, value(3, 2, 1, 6), value(3, 2, 7, 0x80), value(3, 1, 0), value(5, 0)))
	case 4:
		return forge.ExtensionOf(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, r.IntN(3) > 0, value(5, 0))
	case 5:
		return forge.ExtensionOf(oidNameLimits, r.IntN(2) == 0, value(0x30, 0))
	case 6:
		return forge.ExtensionOf(oidAltNames, r.IntN(2) == 0, forge.AltNames(forge.DNS(pick(r, hostNames()...))))
	case 7:
		return forge.ExtensionOf(oidExtKeyUsage, r.IntN(2) == 0, forge.Usages(pickUsages(r)))
	case 8:
		return forge.ExtensionOf(oidSubjectKeyID, r.IntN(2) == 0, value(4, 4, 1, 2, 3, 4))
	case 9:
		return forge.ExtensionOf(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, r.IntN(2) == 0, value(0x30, 3, 2, 1, 5)) // must staple (RFC 7633)
	case 10:
		return forge.ExtensionOf(oidExtKeyUsage, false, bytes.Repeat([]byte{0x30, 0}, 1+r.IntN(2)))
	}
	return forge.ExtensionOf(oidAuthorityKeyID, false, value(0x30, 0))
}

// spoil makes the text of a request another one.
func spoil(r *rand.Rand, text string) string {
	return pick(r,
		text+"\n", strings.ReplaceAll(text, "\n", "\r\n"), "\ufeff"+text, text+"\n"+text, "x\n"+text, text[:len(text)/2], strings.ReplaceAll(text, "CERTIFICATE REQUEST", "CERTIFICATE"),
		strings.ReplaceAll(text, "BEGIN CERT", "BEGIN NEW CERT"), strings.Replace(text, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), strings.Replace(text, "A", "!", 1), "",
		strings.Replace(text, "A", "B", 1),
	)
}

// hostileLegacy makes requests of the legacy dialect that no charm makes.
func (a asker) hostileLegacy(r *rand.Rand) []*ask {
	var names []string
	for range r.IntN(4) {
		names = append(names, pick(r, pick(r, hostNames()...), pick(r, hostAddresses()...), a.address(), a.host()))
	}
	if r.IntN(150) == 0 {
		for i := range pick(r, 99, 100, 101, 150) {
			names = append(names, fmt.Sprintf("h%d.example.com", i))
		}
	}
	kind := pick(r, Server, Server, Client, Client, Client, Authority)
	name := pick(r, pick(r, hostNames()...), pick(r, hostAddresses()...), pick(r, clientNames()...), pick(r, clientNames()...))
	if name == "" {
		name = "x"
	}
	if kind == Client && r.IntN(8) == 0 {
		name = "system:node:" + a.first()
	}
	if r.IntN(6) == 0 && a.app != "keystone" {
		kind = Application
	}
	one := a.legacy(kind, name, names...)
	one.honest = false
	return []*ask{one}
}

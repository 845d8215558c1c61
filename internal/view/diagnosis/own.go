// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// ownChecks are about the certificates that this unit has for itself, and where it laid them.
func ownChecks() []check {
	return []check{
		{"own-expiry", checkOwnExpiry},
		{"own-renewal", checkOwnRenewal},
		{"own-chain", checkOwnChain},
		{"own-openssl", checkOpenSSL},
		{"own-key", checkOwnKey},
		{"key-modes", checkKeyModes},
		{"links", checkLinks},
		{"trust-files", checkTrustFiles},
		{"trust-store", checkTrustStore},
	}
}

const noOwn = "this unit has no certificate of its own on the disk"

// own gives the certificates on the disk, read.
func (f *Facts) own(see func(one Laid, leaf *x509.Certificate)) (unread []string) {
	for _, one := range f.Certificate {
		leaf, err := cert.Parse(one.PEM)
		if err != nil {
			unread = append(unread, one.Path)
			continue
		}
		see(one, leaf)
	}
	return unread
}

func checkOwnExpiry(f *Facts) result {
	var over, soon []string
	unread := f.own(func(one Laid, leaf *x509.Certificate) {
		switch {
		case f.Now.After(leaf.NotAfter):
			over = append(over, one.Path+" at "+moment(leaf.NotAfter))
		case nearEnd(f.Now, leaf):
			soon = append(soon, one.Path+" "+left(f.Now, leaf.NotAfter))
		}
	})
	fix := "see why no renewal came: signet status, then juju status of the provider"
	switch {
	case len(f.Certificate) == 0:
		return fine(noOwn)
	case len(unread) > 0:
		return fail("it is laid anew with the next turn: "+nextTurn(f), "what should be a certificate is none: %s", some(unread))
	case len(over) > 0:
		return fail(fix, "expired: %s", some(over))
	case len(soon) > 0:
		return warn(fix, "a tenth of the life is left, or less: %s", some(soon))
	}
	return fine("%s of its own within their time", count(len(f.Certificate), "certificate"))
}

// nearEnd reports whether a tenth of a certificate's life is left, or less.
func nearEnd(now time.Time, leaf *x509.Certificate) bool {
	return !now.Before(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 10))
}

// overdue reports whether a renewal that was due did not come for a twentieth of a certificate's life, or an hour.
func overdue(now, due, notBefore, notAfter time.Time) bool {
	return !due.IsZero() && now.Sub(due) > max(time.Hour, notAfter.Sub(notBefore)/20)
}

func checkOwnRenewal(f *Facts) result {
	var late []string
	f.own(func(one Laid, leaf *x509.Certificate) {
		if due := cert.RenewAt(leaf); overdue(f.Now, due, leaf.NotBefore, leaf.NotAfter) {
			late = append(late, one.Path+", due "+left(f.Now, due))
		}
	})
	switch {
	case len(f.Certificate) == 0:
		return fine(noOwn)
	case len(late) > 0:
		return warn("see why no renewal came: signet requests list, then juju status of the provider", "not renewed in time: %s", some(late))
	}
	return fine("no renewal is overdue")
}

func checkOwnChain(f *Facts) result {
	var bad []string
	f.own(func(one Laid, leaf *x509.Certificate) {
		if f.Now.After(leaf.NotAfter) {
			return // which another check says
		}
		if err := verify(f.Now, leaf, one.PEM, one.CA); err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", one.Path, err))
		}
	})
	switch {
	case len(f.Certificate) == 0:
		return fine(noOwn)
	case len(bad) > 0:
		return fail("they are asked for anew with the next turn: "+nextTurn(f), "certificates do not verify with the CA beside them: %s", some(bad))
	}
	return fine("certificates verify with the CA beside them")
}

// verify verifies a certificate with those sent along and those that are trusted.
func verify(now time.Time, leaf *x509.Certificate, chain, trust string) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(trust))
	between.AppendCertsFromPEM([]byte(chain))
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

func checkOpenSSL(f *Facts) result {
	var bad []string
	for _, one := range f.Certificate {
		if one.OpenSSL != "" {
			bad = append(bad, one.Path+": "+one.OpenSSL)
		}
	}
	if len(bad) > 0 {
		return warn("openssl verify -CAfile ca.crt -untrusted server.crt server.crt, in the certificate's folder, says more", "openssl does not verify them: %s", some(bad))
	}
	return fine("openssl has nothing against them, where it is installed")
}

func checkOwnKey(f *Facts) result {
	var bad []string
	for _, one := range f.Certificate {
		switch one.Key {
		case "differs":
			bad = append(bad, one.Path+" has another key beside it")
		case "absent":
			bad = append(bad, one.Path+" has no key beside it")
		case "unread":
			bad = append(bad, "the key of "+one.Path+" cannot be read")
		}
	}
	switch {
	case len(f.Certificate) == 0:
		return fine(noOwn)
	case len(bad) > 0:
		return fail("key and certificate are laid anew with the next turn: "+nextTurn(f), "key and certificate do not fit: %s", some(bad))
	}
	return fine("each certificate lies beside its own key")
}

func checkKeyModes(f *Facts) result {
	var open, shared []string
	for _, one := range f.Certificate {
		key := keyPath(one.Path)
		switch {
		case one.Key == "absent":
		case one.Mode&0o007 != 0:
			open = append(open, key)
		case one.Mode&0o070 != 0:
			shared = append(shared, fmt.Sprintf("%s (%04o, %s)", key, one.Mode, one.Owner))
		}
	}
	switch {
	case len(open) > 0:
		return fail(run(append([]string{"chmod", "o-rwx"}, open...)...), "everybody on this machine may read private keys: %s", some(open))
	case len(shared) > 0:
		return note("a group may read private keys, as key-mode says: %s", some(shared))
	}
	return fine("private keys are their owner's only")
}

// keyPath is where the key of a certificate lies.
func keyPath(path string) string {
	const ending = ".crt"
	return path[:max(0, len(path)-len(ending))] + ".key"
}

func checkLinks(f *Facts) result {
	var bad []string
	for _, one := range f.Links {
		if one.Trouble != "" {
			bad = append(bad, one.Path+": "+one.Trouble)
		}
	}
	switch {
	case len(bad) > 0:
		return fail("they are made anew with the next turn: "+nextTurn(f), "links do not lead where they should: %s", some(bad))
	case len(f.Links) == 0:
		return fine("no links were made")
	}
	return fine("links that lead where they should: %d", len(f.Links))
}

func checkTrustFiles(f *Facts) result {
	var bad []string
	for _, one := range f.Trust {
		if one.Trouble != "" {
			bad = append(bad, one.Path+": "+one.Trouble)
		}
	}
	if len(bad) > 0 {
		return fail("they are laid anew with the next turn: "+nextTurn(f), "CA certificates in the trust store's folder are not as they were laid: %s", some(bad))
	}
	return fine("%s in the trust store's folder as they were laid", count(len(f.Trust), "CA certificate"))
}

func checkTrustStore(f *Facts) result {
	if len(f.Trust) == 0 {
		return fine("this unit lays nothing in the trust store")
	}
	held := map[string]bool{}
	known, _ := cert.ParseCertificates(f.Store)
	for _, one := range known {
		held[string(one.Raw)] = true
	}
	var missing []string
	for _, one := range f.Trust {
		if one.Trouble != "" {
			continue
		}
		if ca, err := cert.Parse(one.Text); err == nil && !held[string(ca.Raw)] {
			missing = append(missing, ca.Subject.String())
		}
	}
	if len(missing) > 0 {
		return fail(run("update-ca-certificates"), "the machine does not trust CAs whose certificates lie in its trust store's folder: %s", some(missing))
	}
	return fine("the machine trusts the CAs that were laid there")
}

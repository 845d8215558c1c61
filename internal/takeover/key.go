// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-charm/signet/internal/cert"
)

// openKey reads a private key, encrypted or not. Its errors hold nothing of the key or the passphrase.
func openKey(block *pem.Block, passphrase cert.Key) (crypto.Signer, error) {
	pkcs8Encrypted := block.Type == "ENCRYPTED PRIVATE KEY" // RFC 7468, 11
	switch {
	case !pkcs8Encrypted && !strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"): // RFC 1421, 4.6.1.1
		key, err := cert.ParseKey(cert.NewKey(string(pem.EncodeToMemory(block))))
		if err != nil {
			return nil, fmt.Errorf("%w: rewrite it with openssl pkey", err)
		}
		return key, nil
	case fips140.Enforced():
		return nil, errForbidden
	case passphrase.IsZero():
		return nil, errNoPassphrase
	case pkcs8Encrypted:
		return openPKCS8(block.Bytes, passphrase)
	}
	der, err := x509.DecryptPEMBlock(block, []byte(passphrase.Reveal())) //nolint:staticcheck // weak, but what openssl wrote before 1.0
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errPassphrase
	}
	if err != nil {
		return nil, errEncryption
	}
	key, err := cert.ParseKey(cert.NewKey(string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}))))
	if err != nil {
		return nil, errPassphrase // padding that happens to be right, one time in 256
	}
	return key, nil
}

var (
	errNoPassphrase = errors.New("the private key is encrypted: give its passphrase")
	errPassphrase   = errors.New("the passphrase does not open the private key: give the one with which it was encrypted")
	errEncryption   = errors.New("the private key is encrypted in an unusual way: rewrite it with openssl pkey -aes256")
	errForbidden    = errors.New("it is locked in a way that FIPS 140 does not approve, and GODEBUG=fips140=only forbids: write the key without a passphrase with openssl pkey, in a folder of root's, and name that")
	errCostly       = errors.New("to open it would take too long: rewrite it with fewer iterations")
)

// maxIterations of a hash are tried for a passphrase: what takes seconds.
const maxIterations = 10_000_000

// pbes2 is an encrypted key (RFC 5958, 3) of the kind that openssl writes (RFC 8018, A.4).
type pbes2 struct {
	Encryption struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters struct {
			Derivation struct {
				Algorithm  asn1.ObjectIdentifier
				Parameters struct { // PBKDF2's (RFC 8018, A.2)
					Salt       []byte
					Iterations int
					KeyLength  int                      `asn1:"optional"`
					Function   pkix.AlgorithmIdentifier `asn1:"optional"`
				}
			}
			Cipher struct {
				Algorithm asn1.ObjectIdentifier
				Vector    []byte
			}
		}
	}
	Data []byte
}

// openPKCS8 decrypts a PKCS#8 key. The library trusts what it reads and calls most that it cannot read a wrong
// passphrase, so this is looked at before.
func openPKCS8(der []byte, passphrase cert.Key) (crypto.Signer, error) {
	var envelope pbes2
	if _, err := asn1.Unmarshal(der, &envelope); err != nil {
		return nil, errEncryption
	}
	cipher, derivation := envelope.Encryption.Parameters.Cipher, envelope.Encryption.Parameters.Derivation
	block := map[string]int{ // RFC 8018, B.2
		"1.2.840.113549.3.7":      8,  // 3DES, which easy-rsa uses
		"2.16.840.1.101.3.4.1.2":  16, // AES-128, -192 and -256 with CBC
		"2.16.840.1.101.3.4.1.22": 16,
		"2.16.840.1.101.3.4.1.42": 16,
	}[cipher.Algorithm.String()]
	function := derivation.Parameters.Function.Algorithm.String()
	switch {
	case derivation.Algorithm.String() != "1.2.840.113549.1.5.12", // PBKDF2
		function != "" && function != "1.2.840.113549.2.7" && function != "1.2.840.113549.2.9", // HMAC with SHA-1 and SHA-256
		derivation.Parameters.KeyLength != 0, block == 0, len(cipher.Vector) != block, len(envelope.Data)%max(block, 1) != 0:
		return nil, errEncryption
	case derivation.Parameters.Iterations > maxIterations:
		return nil, errCostly
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(der, []byte(passphrase.Reveal()))
	if err != nil {
		return nil, errPassphrase
	}
	return signer(key)
}

// addPKCS12 adds the key and all certificates of a PKCS#12 file (RFC 7292).
func (m *material) addPKCS12(der []byte, passphrase cert.Key) error {
	if fips140.Enforced() {
		return errForbidden
	}
	if costly(der, 0) {
		return errCostly
	}
	key, first, others, err := pkcs12.DecodeChain(der, passphrase.Reveal())
	var unsupported pkcs12.NotImplementedError
	wrong := errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption)
	switch {
	case wrong && passphrase.IsZero():
		return errNoPassphrase
	case wrong:
		return errPassphrase
	case errors.As(err, &unsupported):
		return fmt.Errorf("%s: rewrite it with openssl pkcs12", shorten(string(unsupported)))
	case err != nil:
		return errors.New("it is damaged, or does not hold one key and its certificate: export it again, or as PEM")
	}
	m.certificates = append(append(m.certificates, first), others...)
	m.key, err = signer(key)
	return err
}

func signer(key any) (crypto.Signer, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key, a %T, does not sign: make a new authority", key)
	}
	return signer, nil
}

// costly reports whether DER asks for so many iterations that one passphrase would be tried for minutes. Wherever a key
// is made of a passphrase, a salt comes first, their number next and perhaps the key's length (RFC 8018, A.2; RFC 7292, 4
// and B.3).
func costly(der []byte, depth int) bool {
	const maxLength, maxDepth = 64, 32
	cost := int64(0) // none but behind a salt
	for len(der) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil || depth > maxDepth {
			return false // whoever reads it stumbles too
		}
		universal := value.Class == asn1.ClassUniversal && !value.IsCompound
		octets := universal && value.Tag == asn1.TagOctetString
		var factor int64
		switch {
		case octets:
			cost = 1
		case universal && value.Tag == asn1.TagInteger && cost > 0:
			if _, err := asn1.Unmarshal(value.FullBytes, &factor); err != nil || factor > maxIterations*maxLength/cost {
				return true
			}
			cost *= max(factor, 1)
		default:
			cost = 0
		}
		if (value.IsCompound || octets) && costly(value.Bytes, depth+1) {
			return true
		}
		der = rest
	}
	return false
}

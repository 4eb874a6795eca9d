package gitops

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// signer signs the bytes of a commit and returns the armoured signature.
type signer func(content []byte) (string, error)

// newSigner makes SSH signatures as git does with gpg.format=ssh:
// https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig.
// ECDSA keys are refused: their signatures differ each time, and so would our
// commits.
func newSigner(pem []byte) (signer, error) {
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, errors.New("it is protected by a passphrase")
		}
		return nil, errors.New("want an SSH private key in PEM form")
	}
	algorithm := key.PublicKey().Type()
	switch algorithm {
	case ssh.KeyAlgoED25519:
	case ssh.KeyAlgoRSA:
		algorithm = ssh.KeyAlgoRSASHA512
	default:
		return nil, fmt.Errorf("kind %s: want ssh-ed25519 or ssh-rsa, whose signatures are the same in every run", algorithm)
	}
	with, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("kind %s cannot sign", algorithm)
	}
	return func(content []byte) (string, error) {
		digest := sha512.Sum512(content)
		signature, err := with.SignWithAlgorithm(nil, signedData(digest[:]), algorithm)
		if err != nil {
			return "", err
		}
		return armour(append([]byte(sshsigMagic), ssh.Marshal(struct {
			Version   uint32
			PublicKey []byte
			Namespace string
			Reserved  string
			Hash      string
			Signature []byte
		}{1, key.PublicKey().Marshal(), sshsigNamespace, "", "sha512", ssh.Marshal(signature)})...)), nil
	}, nil
}

const (
	sshsigMagic     = "SSHSIG"
	sshsigNamespace = "git"
)

func signedData(digest []byte) []byte {
	return append([]byte(sshsigMagic), ssh.Marshal(struct {
		Namespace string
		Reserved  string
		Hash      string
		Digest    []byte
	}{sshsigNamespace, "", "sha512", digest})...)
}

func armour(blob []byte) string {
	encoded := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for len(encoded) > 70 {
		b.WriteString(encoded[:70] + "\n")
		encoded = encoded[70:]
	}
	b.WriteString(encoded + "\n-----END SSH SIGNATURE-----\n")
	return b.String()
}

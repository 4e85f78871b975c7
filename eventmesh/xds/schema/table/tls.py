"""Transport sockets that speak TLS, and the secrets they name."""

ENUMS = {
    "TlsProtocol": "TLS_AUTO TLSv1_0 TLSv1_1 TLSv1_2 TLSv1_3",
    "SanType": "SAN_TYPE_UNSPECIFIED EMAIL DNS URI IP_ADDRESS OTHER_NAME",
    "OcspStaplePolicy": "LENIENT_STAPLING STRICT_STAPLING MUST_STAPLE",
    "TrustChainVerification": "VERIFY_TRUST_CHAIN ACCEPT_UNTRUSTED",
}

MESSAGES = {
    # Sessions are resumed from memory; tickets and staples are Envoy's business.
    "tls.DownstreamTlsContext": """
        1 common_tls_context tls.CommonTlsContext
        2 require_client_certificate bool?
        3 require_sni bool? only false
        8 ocsp_staple_policy OcspStaplePolicy only LENIENT_STAPLING
        ignored: 6 session_timeout, 7 disable_stateless_session_resumption, 10 disable_stateful_session_resumption
        ignored: 9 full_scan_certs_on_sni_mismatch, 11 prefer_client_ciphers
        refused: 4 session_ticket_keys, 5 session_ticket_keys_sds_secret_config
    """,
    "tls.UpstreamTlsContext": """
        1 common_tls_context tls.CommonTlsContext
        2 sni string
        3 allow_renegotiation bool only false
        ignored: 4 max_session_keys, 5 enforce_rsa_key_usage
        refused: 6 auto_host_sni, 7 auto_sni_san_validation
    """,
    "tls.CommonTlsContext": """
        1 tls_params tls.TlsParameters
        2 tls_certificates tls.TlsCertificate[]
        6 tls_certificate_sds_secret_configs tls.SdsSecretConfig[]
        3 validation_context tls.CertificateValidationContext |validation_context_type
        7 validation_context_sds_secret_config tls.SdsSecretConfig |validation_context_type
        8 combined_validation_context tls.CommonTlsContext.CombinedCertificateValidationContext |validation_context_type
        4 alpn_protocols string[]
        ignored: 15 key_log
        refused: 9 tls_certificate_certificate_provider, 11 tls_certificate_certificate_provider_instance
        refused: 14 tls_certificate_provider_instance, 10 validation_context_certificate_provider
        refused: 12 validation_context_certificate_provider_instance, 13 custom_handshaker
        refused: 16 custom_tls_certificate_selector
    """,
    "tls.CommonTlsContext.CombinedCertificateValidationContext": """
        1 default_validation_context tls.CertificateValidationContext
        2 validation_context_sds_secret_config tls.SdsSecretConfig
        refused: 3 validation_context_certificate_provider, 4 validation_context_certificate_provider_instance
    """,
    "tls.TlsParameters": """
        1 tls_minimum_protocol_version TlsProtocol
        2 tls_maximum_protocol_version TlsProtocol
        ignored: 3 cipher_suites, 4 ecdh_curves, 5 signature_algorithms
        refused: 6 compliance_policies
    """,
    "tls.TlsCertificate": """
        1 certificate_chain core.DataSource
        2 private_key core.DataSource
        ignored: 7 watched_directory
        refused: 3 password, 4 ocsp_staple, 5 signed_certificate_timestamp, 6 private_key_provider, 8 pkcs12
    """,
    "tls.CertificateValidationContext": """
        1 trusted_ca core.DataSource
        15 match_typed_subject_alt_names tls.SubjectAltNameMatcher[]
        8 allow_expired_certificate bool only false
        10 trust_chain_verification TrustChainVerification only VERIFY_TRUST_CHAIN
        ignored: 11 watched_directory, 16 max_verify_depth, 18 suppress_client_ca_list
        refused: 3 verify_certificate_spki, 2 verify_certificate_hash, 6 require_signed_certificate_timestamp, 7 crl
        refused: 9 match_subject_alt_names, 12 custom_validator_config, 13 ca_certificate_provider_instance
        refused: 14 only_verify_leaf_cert_crl, 17 system_root_certs
    """,
    "tls.SubjectAltNameMatcher": """
        1 san_type SanType
        2 matcher matcher.StringMatcher
        refused: 3 oid
    """,
    "tls.SdsSecretConfig": """
        1 name string
        2 sds_config core.ConfigSource
    """,
    "tls.Secret": """
        1 name string
        2 tls_certificate tls.TlsCertificate |type
        4 validation_context tls.CertificateValidationContext |type
        refused: 3 session_ticket_keys, 5 generic_secret
    """,
    "tls_inspector.TlsInspector": """
        ignored: 1 enable_ja3_fingerprinting, 2 initial_read_buffer_size, 3 enable_ja4_fingerprinting
        ignored: 4 close_connection_on_client_hello_parsing_errors, 5 max_client_hello_size
    """,
}

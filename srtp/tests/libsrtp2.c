/* The other end of the differential test: libsrtp2 as a filter.
 *
 * Reads lines "command session arguments" and answers each with one line: hexadecimal bytes, "ok",
 * or "error N" with libsrtp2's status.
 *
 *   create N suite key window mki elements   key and mki in hexadecimal, "-" for none;
 *                                            elements as hexadecimal ids, "-" for none
 *   protect N packet      unprotect N packet
 *   protectc N packet     unprotectc N packet      (RTCP)
 */
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 64
#define PACKET 70000

static srtp_t sessions[SESSIONS];
static int has_mki[SESSIONS];

static int unhex(const char *text, unsigned char *out, int max)
{
    int n = 0;
    unsigned byte;
    if (strcmp(text, "-") == 0)
        return 0;
    while (n < max && sscanf(text + 2 * n, "%2x", &byte) == 1)
        out[n++] = (unsigned char)byte;
    return n;
}

static int suite(const char *name, srtp_crypto_policy_t *rtp, srtp_crypto_policy_t *rtcp)
{
    if (strcmp(name, "AES_CM_128_HMAC_SHA1_80") == 0) {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AES_CM_128_HMAC_SHA1_32") == 0) {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AES_192_CM_HMAC_SHA1_80") == 0) {
        srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80(rtp);
        srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AES_192_CM_HMAC_SHA1_32") == 0) {
        srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32(rtp);
        srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AES_256_CM_HMAC_SHA1_80") == 0) {
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(rtp);
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AES_256_CM_HMAC_SHA1_32") == 0) {
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(rtp);
        srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(rtcp);
    } else if (strcmp(name, "AEAD_AES_128_GCM") == 0) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(rtcp);
    } else if (strcmp(name, "AEAD_AES_256_GCM") == 0) {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(rtcp);
    } else if (strcmp(name, "NULL_HMAC_SHA1_80") == 0) {
        srtp_crypto_policy_set_null_cipher_hmac_sha1_80(rtp);
        srtp_crypto_policy_set_null_cipher_hmac_sha1_80(rtcp);
    } else {
        return 0;
    }
    return 1;
}

static int create(int n, const char *line)
{
    char name[64], key_hex[256], mki_hex[32], ids_hex[64];
    unsigned char key[64], mki[8], ids[32];
    int id, id_list[32];
    unsigned long window;
    int outbound, mki_len, ids_len;
    srtp_policy_t policy;
    srtp_master_key_t master, *masters[1];

    memset(&policy, 0, sizeof policy);
    if (sscanf(line, "%63s %255s %lu %31s %63s %d", name, key_hex, &window, mki_hex, ids_hex,
               &outbound) != 6)
        return -1;
    if (!suite(name, &policy.rtp, &policy.rtcp))
        return -1;
    unhex(key_hex, key, sizeof key);
    mki_len = unhex(mki_hex, mki, sizeof mki);
    ids_len = unhex(ids_hex, ids, sizeof ids);
    if (mki_len > 0) {
        master.key = key;
        master.mki_id = mki;
        master.mki_size = mki_len;
        masters[0] = &master;
        policy.keys = masters;
        policy.num_master_keys = 1;
    } else {
        policy.key = key;
    }
    if (ids_len > 0) {
        for (id = 0; id < ids_len; id++)
            id_list[id] = ids[id];
        policy.enc_xtn_hdr = id_list;
        policy.enc_xtn_hdr_count = ids_len;
    }
    policy.window_size = window;
    policy.ssrc.type = outbound ? ssrc_any_outbound : ssrc_any_inbound;
    if (ids_len > 0) {
        policy.ssrc.type = ssrc_specific;
        policy.ssrc.value = 0xcafebabe;
    }
    has_mki[n] = mki_len > 0;
    return srtp_create(&sessions[n], &policy);
}

int main(void)
{
    static char line[3 * PACKET];
    static unsigned char packet[PACKET + SRTP_MAX_TRAILER_LEN + SRTP_MAX_MKI_LEN];
    if (srtp_init() != srtp_err_status_ok)
        return 1;
    printf("%s\n", srtp_get_version_string());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char command[32];
        int n, skip = 0, status, len, i;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%31s %d %n", command, &n, &skip) < 2 || n < 0 || n >= SESSIONS) {
            printf("error -1\n");
        } else if (strcmp(command, "create") == 0) {
            status = create(n, line + skip);
            if (status == 0)
                printf("ok\n");
            else
                printf("error %d\n", status);
        } else {
            len = unhex(line + skip, packet, PACKET);
            if (strcmp(command, "protect") == 0)
                status = srtp_protect_mki(sessions[n], packet, &len, has_mki[n], 0);
            else if (strcmp(command, "unprotect") == 0)
                status = srtp_unprotect_mki(sessions[n], packet, &len, has_mki[n]);
            else if (strcmp(command, "protectc") == 0)
                status = srtp_protect_rtcp_mki(sessions[n], packet, &len, has_mki[n], 0);
            else
                status = srtp_unprotect_rtcp_mki(sessions[n], packet, &len, has_mki[n]);
            if (status != 0) {
                printf("error %d\n", status);
            } else {
                for (i = 0; i < len; i++)
                    printf("%02x", packet[i]);
                printf("\n");
            }
        }
        fflush(stdout);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "result_read.h"

#include "error.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

static int is_result(const json_t *root) {
    const char *schema = json_string_value(json_object_get(json_object_get(root, "schema"), "name"));
    return schema && strcmp(schema, "rpubench-result") == 0 && json_is_array(json_object_get(root, "epochs")) &&
           json_is_string(json_object_get(root, "weights_digest"));
}

enum rpu_status rpu_result_read(json_t **root, const char *path, struct rpu_error *err) {
    json_error_t reason;
    json_t *read;
    int without_memory;
    char *text;
    size_t size;
    const enum rpu_status status = rpu_json_bytes(&text, &size, path, err);
    *root = NULL;
    if (status != RPU_OK)
        return status;
    read = rpu_json_parse(text, size, JSON_REJECT_DUPLICATES, &reason, &without_memory);
    free(text);
    if (without_memory)
        return rpu_fail_at(err, RPU_ERR_NOMEM, path, 0, NULL, "out of memory");
    if (read && is_result(read)) {
        *root = read;
        return RPU_OK;
    }
    json_decref(read);
    return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, read ? "is no results document" : "is not JSON");
}

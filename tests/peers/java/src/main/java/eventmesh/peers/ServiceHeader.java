package eventmesh.peers;

import com.alipay.remoting.CustomSerializer;
import com.alipay.remoting.DefaultCustomSerializer;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.rpc.RequestCommand;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** Puts SOFARPC's header map, with the one key "service", on every request of a registered class. */
final class ServiceHeader extends DefaultCustomSerializer implements CustomSerializer {
    private final byte[] header;

    ServiceHeader(String service) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            for (String text : new String[] {"service", service}) {
                byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
                out.writeInt(utf8.length);
                out.write(utf8);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        this.header = bytes.toByteArray();
    }

    @Override
    public <T extends RequestCommand> boolean serializeHeader(T request, InvokeContext context) {
        request.setHeader(header);
        return true;
    }
}

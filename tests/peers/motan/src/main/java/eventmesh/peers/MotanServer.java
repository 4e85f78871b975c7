package eventmesh.peers;

import com.weibo.api.motan.config.ProtocolConfig;
import com.weibo.api.motan.config.RegistryConfig;
import com.weibo.api.motan.config.ServiceConfig;
import com.weibo.api.motan.rpc.RpcContext;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A Motan 2 service of Desk, version 1.0. Arguments: PORT GROUP. */
public final class MotanServer {
    private MotanServer() {}

    public static void main(String[] args) throws Exception {
        ServiceConfig<Desk> service = new ServiceConfig<>();
        service.setInterface(Desk.class);
        service.setRef(new Answers(args[1]));
        service.setGroup(args[1]);
        service.setVersion("1.0");
        service.setRegistry(local());
        service.setProtocol(motan2());
        service.setHost("127.0.0.1");
        service.setShareChannel(true);
        service.setExport("motan2:" + args[0]);
        service.export();
        System.out.println("READY " + args[0]);
        System.out.flush();
        while (System.in.read() >= 0) {
            // Lives until its parent closes stdin.
        }
        System.exit(0);
    }

    static RegistryConfig local() {
        RegistryConfig registry = new RegistryConfig();
        registry.setRegProtocol("local");
        registry.setCheck("false");
        return registry;
    }

    static ProtocolConfig motan2() {
        ProtocolConfig protocol = new ProtocolConfig();
        protocol.setId("motan2");
        protocol.setName("motan2");
        return protocol;
    }

    private static final class Answers implements Desk {
        private final String group;

        private Answers(String group) {
            this.group = group;
        }

        @Override
        public String greet(String name) {
            if (name.startsWith("sleep ")) {
                try {
                    Thread.sleep(Long.parseLong(name.substring(6)));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
            if (name.equals("fail")) {
                throw new IllegalStateException("asked to fail");
            }
            return "hello " + name + " from " + group;
        }

        @Override
        public String describe(Map<String, List<Integer>> numbers, byte[] bytes, long large) {
            return numbers + " " + bytes.length + " " + large;
        }

        @Override
        public String told() {
            return new TreeMap<>(RpcContext.getContext().getRequest().getAttachments()).toString();
        }
    }
}
